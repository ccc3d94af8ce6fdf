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
#undef BIAS
#undef SCALE
#undef SCALE_UP
#undef MODERATE_WEIGHT
#undef ROUND
#undef ROUND_MOST
#undef LARGEST_EXPONENT
#undef SMALLEST_TEMPERATURE
#undef LARGEST_TEMPERATURE
#undef UNDERFLOW
#undef HEADROOM
#undef NOTHING
#undef DEEP
#undef STEP
#undef STEP_DOWN
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
#define BIAS 32                           /* exponentials are kept times 2^BIAS, so that the small ones stay normal */
#define SCALE 0x1p32f                     /* 2^BIAS */
#define SCALE_UP 68                       /* BIAS + HEADROOM + 1: ROUND has as much less */
#define MODERATE_WEIGHT 0x1p-60           /* weights between this and its inverse need no scaling */
#define ROUND (0x1.8p20f + 476)           /* adding it rounds to an eighth, and up to */
#define ROUND_MOST (0x1.8p20f + 511.875f) /* this, no bit but the last twelve changes */
#define LARGEST_EXPONENT 0x1p15           /* of a block, for the fast exponential */
#define SMALLEST_TEMPERATURE 0x1p-64
#define LARGEST_TEMPERATURE 0x1p64
#define UNDERFLOW -152        /* 2^this rounds to 0 */
#define HEADROOM 35           /* the whole part of n, at most: exponentials of a block are below 2^(this + 1) */
#define NOTHING 0x1p-112      /* a block's sum below this is of exponentials below 2^(UNDERFLOW + 8) */
#define DEEP 64               /* a block more bits than this below the largest is scaled in two steps, */
#define STEP 88               /* the first of so many bits: exponentials of the largest n may be normal results */
#define STEP_DOWN 0x1p-88f    /* 2^-STEP */
#define LARGEST_OFFSET 0x1p20 /* abs(log sum exp), for the fast logarithm */
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
#define BIAS 64
#define SCALE 0x1p64
#define SCALE_UP 0x1p320 /* 2^(BIAS + HEADROOM + 1) */
#define MODERATE_WEIGHT 0x1p-500
#define ROUND (0x1.8p52 + 3840) /* to an integer; the last twelve */
#define ROUND_MOST (0x1.8p52 + 4095)
#define LARGEST_EXPONENT 0x1p30
#define SMALLEST_TEMPERATURE 0x1p-400
#define LARGEST_TEMPERATURE 0x1p400
#define UNDERFLOW -1076
#define HEADROOM 255
#define NOTHING 0x1p-1004
#define DEEP 512
#define STEP 512
#define STEP_DOWN 0x1p-512
#define LARGEST_OFFSET 0x1p49
#define COLDEST_LOG 0x1p-50
#endif
