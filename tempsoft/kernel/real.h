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
#undef LEAST_DOWN
#undef MOST_DOWN
#undef REACH
#undef LARGEST_OFFSET
#undef OFFSET_ERROR
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
#define BIAS 50                        /* exponentials are kept times 2^BIAS, so that the small ones stay normal */
#define SCALE 0x1p50f                  /* 2^BIAS */
#define SCALE_UP (BIAS - 74)           /* ROUND has so much more */
#define MODERATE_WEIGHT 0x1p-60        /* weights between this and its inverse need no scaling */
#define ROUND_LEAST 0x1.8p20f
#define ROUND (ROUND_LEAST + 74)            /* adding it rounds to an eighth, and from -74 up to */
#define ROUND_MOST (ROUND_LEAST + 127.875f) /* this, no bit but the last ten changes */
#define LARGEST_EXPONENT 0x1p15             /* of a block, for the fast exponential */
#define SMALLEST_TEMPERATURE 0x1p-64
#define LARGEST_TEMPERATURE 0x1p64
#define UNDERFLOW -152             /* 2^this rounds to 0 */
#define LOWEST (UNDERFLOW - 11.95) /* of n: 1024 are below NOTHING; r is not a tiny one, as of a whole number */
#define HEADROOM 53                /* the whole part of n, at most: exponentials of a block are below 2^(this + 1) */
#define NOTHING 0x1p-102           /* a block's sum below this, 2^(BIAS + UNDERFLOW), is of quotients that are 0 */
#define SMALLEST_NORMAL 0x1p-126f
#define LEAST_LO 0x1p-101f    /* SMALLEST_NORMAL over an exponential of n = -74 - 1/8 */
#define DOWN 70               /* quotients that may be subnormal are made times 2^this more than their depth, */
#define LEAST_DOWN 124        /* but at least 2^this, as no quotient is above 1, */
#define MOST_DOWN 250         /* and at most */
#define REACH 34              /* HEADROOM of rows of one c: their sums have a factor that is a normal number */
#define LARGEST_OFFSET 0x1p20 /* abs(log sum exp), for the fast logarithm */
#define OFFSET_ERROR 0x1p-46  /* more than its error, and that of x / T, relative */
#define COLDEST_LOG 0x1p-20   /* smallest temperature for it */
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
#define BIAS 126 /* so that the errors of sums of small ones are normal, too */
#define SCALE 0x1p126
#define SCALE_UP 0x1p-642 /* 2^(BIAS - 768) */
#define MODERATE_WEIGHT 0x1p-500
#define ROUND_LEAST 0x1.8p52
#define ROUND (ROUND_LEAST + 768) /* to an integer; from -768, the last ten */
#define ROUND_MOST (ROUND_LEAST + 1023)
#define LARGEST_EXPONENT 0x1p30
#define SMALLEST_TEMPERATURE 0x1p-400
#define LARGEST_TEMPERATURE 0x1p400
#define UNDERFLOW -1076
#define LOWEST (UNDERFLOW - 11.95)
#define HEADROOM 255
#define NOTHING 0x1p-950
#define SMALLEST_NORMAL 0x1p-1022
#define LEAST_LO 0x1p-379
#define DOWN 600
#define LEAST_DOWN 700
#define MOST_DOWN 2040
#define REACH 254
#define LARGEST_OFFSET 0x1p49
#define OFFSET_ERROR 0x1p-98
#define COLDEST_LOG 0x1p-50
#endif
