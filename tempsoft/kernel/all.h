/* The kernels of one number type, each layer on those before it. For REAL, by inclusion. */
/* clang-format off: the order matters */
#include "exp.h"
#include "sum.h"
#include "convert.h"
#include "block.h"
#include "limits.h"
#include "row.h"
#include "softmax.h"
#include "logarithms.h"
#include "draw.h"
#include "columns.h"
#include "batch.h"
