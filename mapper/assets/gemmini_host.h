/*
 * Stands in for Gemmini's own include/gemmini.h where there is no Gemmini: on any host the commands of a program written
 * by `systolic emit` are executed by the functional model below, so that its self-check can be run; on RISC-V with
 * GEMMINI_COMMANDS defined they become the accelerator's custom instructions.
 *
 * Written from the instruction table (funct numbers, fields of rs1 and rs2, local addresses), under the public names of
 * Gemmini's library, of which it covers what such programs use: mvin, mvout, preload, compute, config, flush, fence,
 * int8 inputs and int32 accumulators. Where GEMMINI_TRACE names a file, every command's funct, rs1 and rs2 are left in it.
 */
#ifndef SYSTOLIC_GEMMINI_HOST_H
#define SYSTOLIC_GEMMINI_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef DIM
#define DIM 16
#endif
#ifndef BANK_NUM
#define BANK_NUM 4
#endif
#ifndef BANK_ROWS
#define BANK_ROWS 4096
#endif
#ifndef ACC_ROWS
#define ACC_ROWS 1024
#endif
#ifndef MESH_BITS
#define MESH_BITS 20
#endif

typedef int8_t elem_t;
typedef int32_t acc_t;

#define XCUSTOM_ACC 3
#define ADDR_LEN 32
#define MVIN_SCALE_IDENTITY 1.0f
#define ACC_SCALE_IDENTITY 1.0f
#define GARBAGE_ADDR ((uint32_t)(-1))
#define OUTPUT_STATIONARY 0
#define WEIGHT_STATIONARY 1
#define NO_ACTIVATION 0
#define RELU 1

#define CONFIG_EX 0
#define CONFIG_LD 1
#define CONFIG_ST 2

#define k_CONFIG 0
#define k_MVIN2 1
#define k_MVIN 2
#define k_MVOUT 3
#define k_COMPUTE_PRELOADED 4
#define k_COMPUTE_ACCUMULATE 5
#define k_PRELOAD 6
#define k_FLUSH 7
#define k_MVIN3 14

static inline uint64_t gemmini_float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float gemmini_bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#if defined(__riscv) && defined(GEMMINI_COMMANDS)

#define ROCC_INSTRUCTION_RS1_RS2(x, rs1, rs2, funct)                                   \
  __asm__ volatile(".insn r 0x7b, 3, %c0, x0, %1, %2" : : "i"(funct), "r"((uint64_t)(rs1)), "r"((uint64_t)(rs2)) : "memory")
#define gemmini_fence() __asm__ volatile("fence" : : : "memory")

#else

/* The machine's state. Loads have an identifier each: mvin 0, mvin2 1, mvin3 2. */
static int8_t gemmini_sp[BANK_NUM * BANK_ROWS][DIM];
static int32_t gemmini_acc[ACC_ROWS][DIM];
static int32_t gemmini_pending[DIM][DIM], gemmini_weights[DIM][DIM], gemmini_total[DIM][DIM];
static uint64_t gemmini_result, gemmini_load1[3], gemmini_load2[3], gemmini_store1, gemmini_store2, gemmini_ex1, gemmini_ex2;

static inline uint64_t gemmini_bits(uint64_t word, int high, int low) {
  return (word >> low) & ((1ull << (high - low + 1)) - 1);
}

static inline void gemmini_stop(const char *why) {
  fprintf(stderr, "gemmini host model: %s\n", why);
  abort();
}

static inline uint32_t gemmini_row(uint32_t address, uint32_t offset) {
  bool in_acc = address >> 31;
  uint32_t row = (address & (in_acc ? 0x3ffffffu : 0x1fffffffu)) + offset;
  if (row >= (in_acc ? (uint32_t)ACC_ROWS : (uint32_t)(BANK_NUM * BANK_ROWS))) gemmini_stop("local address outside the memory");
  return row;
}

/* fp32 product, rounded half to even, saturated to int8. Adding and taking away 1.5 * 2^23 rounds what is small. */
static inline int8_t gemmini_scaled(int32_t value, float scale) {
  volatile float product = (float)value * scale;
  if (product <= -128.0f) return -128;
  if (product >= 127.0f) return 127;
  volatile float rounded = product + 12582912.0f;
  rounded -= 12582912.0f;
  return (int8_t)rounded;
}

static inline void gemmini_do_mvin(int id, uint64_t from, uint64_t span) {
  uint32_t rows = gemmini_bits(span, 63, 48), columns = gemmini_bits(span, 47, 32), address = (uint32_t)span;
  uint64_t stride = gemmini_load2[id], block = gemmini_bits(gemmini_load1[id], 31, 16);
  float scale = gemmini_bits_float((uint32_t)(gemmini_load1[id] >> 32));
  bool in_acc = address >> 31, adds = address >> 30 & 1, wide = in_acc && !(gemmini_load1[id] >> 2 & 1);
  uint32_t repeats = gemmini_bits(gemmini_load1[id], 15, 8), half = BANK_NUM * BANK_ROWS / 2;
  if (repeats > 1 && (in_acc || repeats * columns > DIM)) gemmini_stop("repeated pixels fit no row");
  for (uint32_t row = 0; row < rows; row++) {
    for (uint32_t column = 0; column < columns; column++) {
      uint32_t local = gemmini_row(address, (uint32_t)(column / DIM * block) + row);
      const char *at = (const char *)(uintptr_t)from + row * stride;
      int32_t value = 0;
      if (from && wide) memcpy(&value, at + 4 * column, 4);
      if (from && !wide) value = scale == 1.0f ? ((const int8_t *)at)[column] : gemmini_scaled(((const int8_t *)at)[column], scale);
      if (!in_acc) gemmini_sp[local][column % DIM] = (int8_t)value;
      else gemmini_acc[local][column % DIM] = (int32_t)((uint32_t)value + (adds ? (uint32_t)gemmini_acc[local][column % DIM] : 0));
      /* Copy r of a pixel goes r rows up and r pixels to the right, none out of the half its row is in. */
      for (uint32_t copy = 1; copy < repeats && local >= copy + (local < half ? 0 : half); copy++)
        gemmini_sp[local - copy][column + copy * columns] = (int8_t)value;
    }
  }
}

static inline void gemmini_do_mvout(uint64_t to, uint64_t span) {
  uint32_t rows = gemmini_bits(span, 63, 48), columns = gemmini_bits(span, 47, 32), address = (uint32_t)span;
  bool in_acc = address >> 31, full = in_acc && (address >> 29 & 1), relu = gemmini_bits(gemmini_store1, 3, 2) == RELU;
  float scale = gemmini_bits_float((uint32_t)(gemmini_store2 >> 32));
  if (gemmini_bits(gemmini_store1, 5, 4)) gemmini_stop("pooling is not in this model");
  for (uint32_t row = 0; row < rows; row++) {
    char *at = (char *)(uintptr_t)to + row * (gemmini_store2 & 0xffffffffu);
    for (uint32_t column = 0; column < columns; column++) {
      uint32_t local = gemmini_row(address, column / DIM * DIM + row);
      int32_t value = in_acc ? gemmini_acc[local][column % DIM] : 0;
      if (full) memcpy(at + 4 * column, &value, 4);
      else if (in_acc) ((int8_t *)at)[column] = gemmini_scaled(relu && value < 0 ? 0 : value, scale);
      else ((int8_t *)at)[column] = gemmini_sp[local][column % DIM];
    }
  }
}

static inline void gemmini_block(uint64_t span, uint32_t stride, bool transposed, int32_t block[DIM][DIM]) {
  uint32_t rows = gemmini_bits(span, 63, 48), columns = gemmini_bits(span, 47, 32), address = (uint32_t)span;
  memset(block, 0, sizeof(int32_t) * DIM * DIM);
  if (address == GARBAGE_ADDR) return;
  if (address >> 31) gemmini_stop("operands in the accumulator are not in this model");
  for (uint32_t line = 0; line < (transposed ? columns : rows); line++) {
    const int8_t *local = gemmini_sp[gemmini_row(address, line * stride)];
    for (uint32_t place = 0; place < (transposed ? rows : columns); place++)
      *(transposed ? &block[place][line] : &block[line][place]) = local[place];
  }
}

/* Partial sums keep the mesh's output bits and wrap. */
static inline int32_t gemmini_wrapped(int64_t value) {
  const int64_t half = 1ll << (MESH_BITS - 1);
  return (int32_t)(((value + half) & (2 * half - 1)) - half);
}

static inline void gemmini_write_result(bool ws) {
  uint32_t rows = gemmini_bits(gemmini_result, 63, 48), columns = gemmini_bits(gemmini_result, 47, 32);
  uint32_t address = (uint32_t)gemmini_result, stride = (uint32_t)(gemmini_ex2 >> 48);
  if (address == GARBAGE_ADDR) return;
  if (!(address >> 31)) gemmini_stop("results in the scratchpad are not in this model");
  if (!ws && (gemmini_ex2 & 31)) gemmini_stop("shifted results are not in this model");
  for (uint32_t row = 0; row < rows; row++) {
    int32_t *local = gemmini_acc[gemmini_row(address, row * stride)];
    for (uint32_t column = 0; column < columns; column++)
      local[column] = (int32_t)((uint32_t)gemmini_total[row][column] + (address >> 30 & 1 ? (uint32_t)local[column] : 0));
  }
}

static inline void gemmini_do_compute(bool preloaded, uint64_t a_span, uint64_t other_span) {
  static int32_t a[DIM][DIM], other[DIM][DIM];
  bool ws = gemmini_ex1 >> 2 & 1;
  gemmini_block(a_span, (uint32_t)gemmini_bits(gemmini_ex1, 31, 16), gemmini_ex1 >> 8 & 1, a);
  gemmini_block(other_span, 1, !ws && (gemmini_ex1 >> 9 & 1), other);
  if (preloaded) memcpy(ws ? gemmini_weights : gemmini_total, gemmini_pending, sizeof gemmini_pending);
  if (ws) memcpy(gemmini_total, other, sizeof other);
  const int32_t(*b)[DIM] = (const int32_t(*)[DIM])(ws ? gemmini_weights : other);
  for (int row = 0; row < DIM; row++)
    for (int k = 0; k < DIM; k++)
      if (a[row][k])
        for (int column = 0; column < DIM; column++) gemmini_total[row][column] += a[row][k] * b[k][column];
  for (int row = 0; row < DIM; row++)
    for (int column = 0; column < DIM; column++) gemmini_total[row][column] = gemmini_wrapped(gemmini_total[row][column]);
  gemmini_write_result(ws);
}

static inline void gemmini_do_config(uint64_t rs1, uint64_t rs2) {
  switch (rs1 & 3) {
    case CONFIG_EX: gemmini_ex1 = rs1; gemmini_ex2 = rs2; break;
    case CONFIG_LD: gemmini_load1[rs1 >> 3 & 3] = rs1; gemmini_load2[rs1 >> 3 & 3] = rs2; break;
    case CONFIG_ST: gemmini_store1 = rs1; gemmini_store2 = rs2; break;
    default: gemmini_stop("the normaliser is not in this model");
  }
}

static inline void gemmini_trace(int funct, uint64_t rs1, uint64_t rs2) {
  static FILE *trace;
  if (!trace) trace = fopen(getenv("GEMMINI_TRACE"), "w");
  if (!trace) gemmini_stop("cannot write GEMMINI_TRACE");
  fprintf(trace, "%d %llu %llu\n", funct, (unsigned long long)rs1, (unsigned long long)rs2);
}

static inline void gemmini_command(int funct, uint64_t rs1, uint64_t rs2) {
  if (getenv("GEMMINI_TRACE")) gemmini_trace(funct, rs1, rs2);
  switch (funct) {
    case k_CONFIG: gemmini_do_config(rs1, rs2); break;
    case k_MVIN: gemmini_do_mvin(0, rs1, rs2); break;
    case k_MVIN2: gemmini_do_mvin(1, rs1, rs2); break;
    case k_MVIN3: gemmini_do_mvin(2, rs1, rs2); break;
    case k_MVOUT: gemmini_do_mvout(rs1, rs2); break;
    case k_PRELOAD:
      gemmini_block(rs1, 1, (gemmini_ex1 >> 2 & 1) && (gemmini_ex1 >> 9 & 1), gemmini_pending);
      gemmini_result = rs2;
      break;
    case k_COMPUTE_PRELOADED: gemmini_do_compute(true, rs1, rs2); break;
    case k_COMPUTE_ACCUMULATE: gemmini_do_compute(false, rs1, rs2); break;
    case k_FLUSH: break;
    default: gemmini_stop("command is not in this model");
  }
}

#define ROCC_INSTRUCTION_RS1_RS2(x, rs1, rs2, funct) gemmini_command(funct, (uint64_t)(rs1), (uint64_t)(rs2))
#define gemmini_fence() ((void)0)

#endif

#define GEMMINI_SPAN(address, columns, rows) \
  (((uint64_t)(rows) << (ADDR_LEN + 16)) | ((uint64_t)(columns) << ADDR_LEN) | (uint64_t)(address))

#define gemmini_extended_mvin(memory, local, columns, rows) \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, memory, GEMMINI_SPAN(local, columns, rows), k_MVIN)
#define gemmini_extended_mvin2(memory, local, columns, rows) \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, memory, GEMMINI_SPAN(local, columns, rows), k_MVIN2)
#define gemmini_extended_mvin3(memory, local, columns, rows) \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, memory, GEMMINI_SPAN(local, columns, rows), k_MVIN3)
#define gemmini_extended_mvout(memory, local, columns, rows) \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, memory, GEMMINI_SPAN(local, columns, rows), k_MVOUT)
#define gemmini_extended_preload(bd, c, bd_columns, bd_rows, c_columns, c_rows) \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, GEMMINI_SPAN(bd, bd_columns, bd_rows), GEMMINI_SPAN(c, c_columns, c_rows), k_PRELOAD)
#define gemmini_extended_compute_preloaded(a, bd, a_columns, a_rows, bd_columns, bd_rows)                        \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, GEMMINI_SPAN(a, a_columns, a_rows), GEMMINI_SPAN(bd, bd_columns, bd_rows), \
                           k_COMPUTE_PRELOADED)
#define gemmini_extended_compute_accumulated(a, bd, a_columns, a_rows, bd_columns, bd_rows)                      \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, GEMMINI_SPAN(a, a_columns, a_rows), GEMMINI_SPAN(bd, bd_columns, bd_rows), \
                           k_COMPUTE_ACCUMULATE)
#define gemmini_extended3_config_ex(dataflow, act, shift, scale, c_stride, a_stride, a_transposed, b_transposed, strides_only) \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC,                                                                                      \
                           gemmini_float_bits(scale) << 32 | (uint64_t)(a_stride) << 16 | (uint64_t)(b_transposed) << 9 |     \
                               (uint64_t)(a_transposed) << 8 | (uint64_t)(strides_only) << 7 | (uint64_t)(act) << 3 |         \
                               (uint64_t)(dataflow) << 2 | CONFIG_EX,                                                         \
                           (uint64_t)(c_stride) << 48 | (uint64_t)(shift), k_CONFIG)
#define gemmini_extended5_config_ld(stride, scale, shrunk, block_stride, pixel_repeats, id)                          \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC,                                                                              \
                           gemmini_float_bits(scale) << 32 | (uint64_t)(block_stride) << 16 |                         \
                               (uint64_t)(pixel_repeats) << 8 | (uint64_t)(id) << 3 | (uint64_t)(shrunk) << 2 | CONFIG_LD, \
                           stride, k_CONFIG)
#define gemmini_extended_config_st(stride, act, scale)                                          \
  ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, (uint64_t)(act) << 2 | CONFIG_ST,                       \
                           gemmini_float_bits(scale) << 32 | (uint64_t)(uint32_t)(stride), k_CONFIG)
#define gemmini_flush(skip) ROCC_INSTRUCTION_RS1_RS2(XCUSTOM_ACC, skip, 0, k_FLUSH)

#endif
