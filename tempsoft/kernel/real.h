/* The two number types of the kernels. Define TS_REAL as 32 or 64 and include; include again for the other.
 *
 * V(op) is the vector primitive of that type (vf_op or vd_op), R(name) the kernel of that type (name_f32 or name_f64).
 * The constants say where the fast formulas hold; exp.h and logarithms.h explain them.
 */
#undef REAL
#undef PLAIN
#undef BITS
#undef V
#undef R
#undef VR
#undef LANES
#undef PIECE
#undef REAL_MAX
#undef REAL_SMALLEST
#undef MORE_THAN_HALF
#undef BIAS
#undef SCALE
#undef SCALE_UP
#undef MODERATE_WEIGHT
#undef ROUND_LEAST
#undef ROUND
#undef ROUND_MOST
#undef LARGEST_EXPONENT
#undef SMALLEST_TEMPERATURE
#undef LARGEST_TEMPERATURE
#undef UNDERFLOW
#undef HEADROOM
#undef NOTHING
#undef LOWEST
#undef SMALLEST_NORMAL
#undef LEAST_LO
#undef DOWN
#undef DOWN_OF_ONE_BLOCK
#undef MOST_DOWN
#undef LEAST_OF_ONE_BLOCK
#undef LARGEST_OFFSET
#undef COLDEST_LOG

#if TS_REAL == 32
#define REAL float
#define PLAIN TS_F32
#define BITS uint32_t
#define V(op) vf_##op
#define R(name) name##_f32
#define VR vf
#define LANES VF_LANES
#define PIECE VF_PIECE
#define REAL_MAX 0x1.fffffep127f
#define REAL_SMALLEST 0x1p-149f
#define MORE_THAN_HALF 0x1.000002p-24f /* of the smallest number, over SMALLEST_NORMAL */
#define BIAS 40                        /* exponentials are kept times 2^BIAS, so that the small ones stay normal */
#define SCALE 0x1p40f                  /* 2^BIAS */
#define SCALE_UP (BIAS - 84)           /* ROUND has so much more */
#define MODERATE_WEIGHT 0x1p-60        /* weights between this and its inverse need no scaling */
#define ROUND_LEAST 0x1.8p20f
#define ROUND (ROUND_LEAST + 84)            /* adding it rounds to an eighth, and from -84 up to */
#define ROUND_MOST (ROUND_LEAST + 127.875f) /* this, no bit but the last ten changes */
#define LARGEST_EXPONENT 0x1p15             /* of a block, for the fast exponential */
#define SMALLEST_TEMPERATURE 0x1p-64
#define LARGEST_TEMPERATURE 0x1p64
#define UNDERFLOW -152            /* 2^this rounds to 0 */
#define LOWEST (UNDERFLOW - 3.95) /* of n: a little more than a whole number, so that r is not a tiny one */
#define HEADROOM 43               /* the whole part of n, at most: exponentials of a block are below 2^(this + 1) */
#define NOTHING 0x1p-104          /* a block's sum below this is of exponentials below 2^(UNDERFLOW + 8) */
#define SMALLEST_NORMAL 0x1p-126f
#define LEAST_LO 0x1p-81f           /* SMALLEST_NORMAL over an exponential of n = -84 - 1/8 */
#define DOWN 80                     /* quotients are made times 2^this over their depth where they may be subnormal, */
#define DOWN_OF_ONE_BLOCK 110       /* 2^this whatever their sum, */
#define MOST_DOWN 250               /* and no more than 2^this */
#define LEAST_OF_ONE_BLOCK 0x1p-16f /* 2^DOWN_OF_ONE_BLOCK SMALLEST_NORMAL */
#define LARGEST_OFFSET 0x1p20       /* abs(log sum exp), for the fast logarithm */
#define COLDEST_LOG 0x1p-20         /* smallest temperature for it */
#else
#define REAL double
#define PLAIN TS_F64
#define BITS uint64_t
#define V(op) vd_##op
#define R(name) name##_f64
#define VR vd
#define LANES VD_LANES
#define PIECE VD_PIECE
#define REAL_MAX 0x1.fffffffffffffp1023
#define REAL_SMALLEST 0x1p-1074
#define MORE_THAN_HALF 0x1.0000000000001p-53
#define BIAS 64
#define SCALE 0x1p64
#define SCALE_UP 0x1p-704 /* 2^(BIAS - 768) */
#define MODERATE_WEIGHT 0x1p-500
#define ROUND_LEAST 0x1.8p52
#define ROUND (ROUND_LEAST + 768) /* to an integer; from -768, the last ten */
#define ROUND_MOST (ROUND_LEAST + 1023)
#define LARGEST_EXPONENT 0x1p30
#define SMALLEST_TEMPERATURE 0x1p-400
#define LARGEST_TEMPERATURE 0x1p400
#define UNDERFLOW -1076
#define LOWEST (UNDERFLOW - 3.95)
#define HEADROOM 255
#define NOTHING 0x1p-1004
#define SMALLEST_NORMAL 0x1p-1022
#define LEAST_LO 0x1p-317
#define DOWN 400
#define DOWN_OF_ONE_BLOCK 420
#define MOST_DOWN 2040
#define LEAST_OF_ONE_BLOCK 0x1p-602
#define LARGEST_OFFSET 0x1p49
#define COLDEST_LOG 0x1p-50
#endif
