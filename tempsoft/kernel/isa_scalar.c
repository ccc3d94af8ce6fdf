/* The kernels in plain C, for any CPU: what the other instruction sets are compared with. */
#if defined(__AVX__)
#error "isa_scalar.c must be built for the baseline CPU, without -march=native or -mavx"
#endif
#define TS_ISA scalar
#include "vec_scalar.h"

#include "kernels.h"
