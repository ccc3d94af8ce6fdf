/* The two number types of the kernels. Define TS_REAL as 32 or 64 and include; include again for the other.
 *
 * V(op) is the vector primitive of that type (vf_op or vd_op), R(name) the kernel of that type (name_f32 or name_f64).
 * The constants say where the fast formula for the exponential holds; exp.h explains them.
 */
#undef REAL
#undef V
#undef R
#undef VR
#undef LANES
#undef PARTS
#undef REAL_MAX
#undef DEGREE
#undef COEFFICIENTS
#undef BIAS
#undef SCALE
#undef ROUND
#undef GRID
#undef LARGEST_SHIFT
#undef SMALLEST_TEMPERATURE
#undef LARGEST_TEMPERATURE
#undef UNDERFLOW
#undef LARGEST_OFFSET
#undef COLDEST_LOG
#undef VANISHED
#undef SMALLEST_FACTOR
#undef STEP_DOWN
#undef SMALLEST_REAL

#if TS_REAL == 32
#define REAL float
#define V(op) vf_##op
#define R(name) name##_f32
#define VR vf
#define LANES VF_LANES
#define REAL_MAX 0x1.fffffep127f
#define DEGREE 6
#define COEFFICIENTS EXP2_F32
#define BIAS 32                         /* exponentials are kept times 2^BIAS, so that the small ones stay normal */
#define SCALE 0x1p32f                   /* 2^BIAS */
#define ROUND 0x1.8p23f                 /* adding it rounds to an integer */
#define GRID 0x1.8p44                   /* adding it, in double, rounds to a multiple of 1/256 */
#define LARGEST_SHIFT 0x1p15            /* max log2(e) / T, for the fast formula */
#define SMALLEST_TEMPERATURE 0x1p-64
#define LARGEST_TEMPERATURE 0x1p64
#define UNDERFLOW -152.0f               /* below 2^this, a probability rounds to 0 */
#define LARGEST_OFFSET 0x1p20           /* max / T + log S, for the fast logarithm */
#define COLDEST_LOG 0x1p-20             /* smallest temperature for the fast logarithm */
#define VANISHED 0x1p-88                /* a block's share (times 2^64) below this leaves it nothing */
#define SMALLEST_FACTOR 0x1p-96         /* of a block, for scaling in one step */
#define STEP_DOWN 0x1p-64f              /* that second step */
#define SMALLEST_REAL 0x1p-149f
#else
#define REAL double
#define V(op) vd_##op
#define R(name) name##_f64
#define VR vd
#define LANES VD_LANES
#define REAL_MAX 0x1.fffffffffffffp1023
#define DEGREE 11
#define COEFFICIENTS EXP2_F64
#define BIAS 64
#define SCALE 0x1p64
#define ROUND 0x1.8p52
#define GRID 0x1.8p32                   /* multiples of 2^-20 */
#define LARGEST_SHIFT 0x1p30
#define SMALLEST_TEMPERATURE 0x1p-400
#define LARGEST_TEMPERATURE 0x1p400
#define UNDERFLOW -1076.0
#define LARGEST_OFFSET 0x1p49
#define COLDEST_LOG 0x1p-50
#define VANISHED 0x1p-1012
#define SMALLEST_FACTOR 0x1p-800
#define STEP_DOWN 0x1p-512
#define SMALLEST_REAL 0x1p-1074
#endif
