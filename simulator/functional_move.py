"""What mvin and mvout do to values: scaling, shrinking, repeating, activation, normalisation, pooling. Compiled.

Sources: DMA.scala, Scratchpad.scala, PixelRepeater.scala, StoreController.scala, AccumulatorScale.scala and the scale
functions of Configs.scala (ucb-bar/gemmini at 8c3f992).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.command_check import bits
from simulator.normaliser import IGELU, RELU, RESET, activated, factor, gather, restart, wrapped

SCALE_IDENTITY = 0x3F800000
L_STRIDE, L_BLOCK, L_SHRINK, L_SCALE, L_REPEATS, LOAD_SIZE = range(6)
(
    V_STRIDE, V_ACTIVATION, V_SCALE, V_SIZE, V_STEP, V_UPPER, V_LEFT, V_OUT_DIM, V_OUT_ROWS, V_OUT_COLUMNS, V_ROWS,
    V_COLUMNS, V_SET, V_QB, V_QC, V_QLN2, V_QLN2_INV, STORE_SIZE,
) = range(18)  # fmt: skip


@njit(cache=True, nogil=True)
def bits_to_float(word):  # type: ignore[no-untyped-def]
    """The binary32 whose 32 bits are `word`."""
    return np.array([np.uint32(word)], np.uint32).view(np.float32)[0]


@njit(cache=True, nogil=True, inline="always")
def scaled_int8(value, scale):  # type: ignore[no-untyped-def]
    """fp32 product, round half even, saturate to int8; not a number is 127, as hardfloat converts it (RecFNToIN)."""
    product = np.rint(np.float32(value) * scale)
    if product < np.float32(-128.0):
        return np.int32(-128)
    if product <= np.float32(127.0):
        return np.int32(product)
    return np.int32(127)


@njit(cache=True, nogil=True, inline="always")
def local_row(address):  # type: ignore[no-untyped-def]
    """Row of a 32-bit local address, of the scratchpad or of the accumulator."""
    return address & (0x3FFFFFF if (address >> 31) & 1 else 0x1FFFFFFF)


@njit(cache=True, nogil=True)
def _loaded(image, at, width, scale, identity):  # type: ignore[no-untyped-def]
    """Element at byte `at`: int32 unscaled (mvin_scale_acc_args is None), or int8 scaled."""
    if width == 4:
        word = np.uint32(image[at]) | (np.uint32(image[at + 1]) << np.uint32(8))
        return np.int32(
            word | (np.uint32(image[at + 2]) << np.uint32(16)) | (np.uint32(image[at + 3]) << np.uint32(24))
        )
    value = np.int32(np.int8(image[at]))
    return value if identity else scaled_int8(value, scale)


@njit(cache=True, nogil=True)
def mvin(rs1, rs2, load, dim, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """One mvin under the configuration `load` (LOAD_SIZE,); False when it reads outside the image."""
    rows, columns, address = bits(rs2, 63, 48), bits(rs2, 47, 32), bits(rs2, 31, 0)
    to_acc, accumulate, row0 = (address >> 31) & 1, (address >> 30) & 1, local_row(address)
    width = 4 if to_acc and not load[L_SHRINK] else 1
    zeros, scale, identity = rs1 == np.uint64(0), bits_to_float(load[L_SCALE]), load[L_SCALE] == SCALE_IDENTITY
    for row in range(rows):
        offset = np.int64(rs1 - np.uint64(base)) + row * load[L_STRIDE]
        if not zeros and (offset < 0 or offset + columns * width > image.size):
            return False
        for column in range(columns):
            value = np.int32(0) if zeros else _loaded(image, offset + column * width, width, scale, identity)
            local = row0 + (column // dim) * load[L_BLOCK] + row
            if not to_acc:
                _write_pixels(sp, local, column % dim, columns, load[L_REPEATS], np.int8(value))
            elif accumulate:
                acc[local, column % dim] += value
            else:
                acc[local, column % dim] = value
    return True


@njit(cache=True, nogil=True, inline="always")
def _write_pixels(sp, row, column, columns, repeats, value):  # type: ignore[no-untyped-def]
    """Copy r of a pixel goes r rows up and r pixels to the right; what would leave its half at the top is dropped."""
    floor = 0 if row < sp.shape[0] // 2 else sp.shape[0] // 2
    sp[row, column] = value
    for copy in range(1, repeats):
        if row - copy >= floor:
            sp[row - copy, column + copy * columns] = value


@njit(cache=True, nogil=True)
def _stored(value, activation, scale, constants, statistics):  # type: ignore[no-untyped-def]
    """The int8 an accumulator element is stored as; `scale` is what `factor` gives for the activation."""
    if activation > RELU:
        return scaled_int8(np.int32(activated(np.int64(value), activation, statistics, constants)), scale)
    return scaled_int8(max(value, np.int32(0)) if activation == RELU else value, scale)


@njit(cache=True, nogil=True)
def _constants(store):  # type: ignore[no-untyped-def]
    return store[V_QB], store[V_QC], store[V_QLN2], store[V_QLN2_INV]


@njit(cache=True, nogil=True)
def _gather_row(command, row0, columns, store, statistics, factors, dim, acc):  # type: ignore[no-untyped-def]
    """One row of an mvout whose address carries a normaliser command: its statistics change, nothing is stored."""
    scale = bits_to_float(store[V_SCALE])
    for first in range(0, columns, dim):
        row = acc[row0 + first, : min(dim, columns - first)]
        gather(statistics, factors, command, first + dim >= columns, row, _constants(store), scale)


@njit(cache=True, nogil=True)
def mvout(rs1, rs2, store, all_statistics, all_factors, dim, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """One mvout, or with V_SIZE and no V_STEP one that spreads V_ROWS x V_COLUMNS pixels; False outside the image."""
    columns, address = bits(rs2, 47, 32), bits(rs2, 31, 0)
    from_acc, row0, command = (address >> 31) & 1, local_row(address), (address >> 26) & 7
    full, spread = from_acc and (address >> 29) & 1, store[V_SIZE] > 0
    statistics, factors = all_statistics[store[V_SET]], all_factors[store[V_SET]]
    activation, constants = store[V_ACTIVATION], _constants(store)
    for row in range(store[V_ROWS] * store[V_COLUMNS] if spread else bits(rs2, 63, 48)):
        if from_acc and command != RESET:
            _gather_row(command, row0 + row, columns, store, statistics, factors, dim, acc)
            continue
        line = row // store[V_COLUMNS] * store[V_OUT_DIM] + row % store[V_COLUMNS] if spread else row
        offset = np.int64(rs1 - np.uint64(base)) + line * store[V_STRIDE]
        if offset < 0 or offset + columns * (4 if full else 1) > image.size:
            return False
        scale = factor(activation, factors, bits_to_float(store[V_SCALE]))
        for column in range(columns):
            local = row0 + (column // dim) * dim + row
            if not from_acc:
                image[offset + column] = np.uint8(sp[local, column % dim])
            elif full:
                word = np.uint32(acc[local, column % dim])
                for byte in range(4):
                    image[offset + 4 * column + byte] = np.uint8((word >> np.uint32(8 * byte)) & np.uint32(255))
            else:
                value = _stored(acc[local, column % dim], activation, scale, constants, statistics)
                image[offset + column] = np.uint8(np.int8(value))
        if from_acc:
            restart(statistics)
    return True


@njit(cache=True, nogil=True)
def mvout_pooled(rs1, rs2, store, all_statistics, all_factors, sp, acc, image, base):  # type: ignore[no-untyped-def]
    """Max-pool while storing; elements outside the image are zeros (Scratchpad.scala, writeData_is_all_zeros)."""
    columns, address = bits(rs2, 47, 32), bits(rs2, 31, 0)
    from_acc, row0, size = (address >> 31) & 1, local_row(address), store[V_SIZE]
    statistics, activation, constants = all_statistics[store[V_SET]], store[V_ACTIVATION], _constants(store)
    scale = factor(activation, all_factors[store[V_SET]], bits_to_float(store[V_SCALE]))
    for pixel in range(store[V_OUT_ROWS] * store[V_OUT_COLUMNS]):
        out_row, out_column = pixel // store[V_OUT_COLUMNS], pixel % store[V_OUT_COLUMNS]
        offset = np.int64(rs1 - np.uint64(base)) + (out_row * store[V_OUT_DIM] + out_column) * store[V_STRIDE]
        if offset < 0 or offset + columns > image.size:
            return False
        for column in range(columns):
            best = np.int32(-128)
            for window in range(size * size):
                row = out_row * store[V_STEP] + window // size - store[V_UPPER]
                place = out_column * store[V_STEP] + window % size - store[V_LEFT]
                value = np.int32(0)
                if 0 <= row < store[V_ROWS] and 0 <= place < store[V_COLUMNS]:
                    local = row0 + row * store[V_COLUMNS] + place
                    if from_acc:
                        value = _stored(acc[local, column], activation, scale, constants, statistics)
                    else:
                        value = np.int32(sp[local, column])
                best = max(best, value)
            image[offset + column] = np.uint8(np.int8(best))
    if from_acc:
        restart(statistics)
    return True


@njit(cache=True, nogil=True)
def config_store(rs1, rs2, store):  # type: ignore[no-untyped-def]
    """config_st; a scale of all ones keeps the last, geometry stays where it is not used (StoreController.scala)."""
    store[V_STRIDE] = bits(rs2, 31, 0)
    store[V_ACTIVATION] = bits(rs1, 3, 2)
    if bits(rs2, 63, 32) != 0xFFFFFFFF:
        store[V_SCALE] = bits(rs2, 63, 32)
    store[V_STEP], store[V_SIZE] = bits(rs1, 5, 4), bits(rs1, 7, 6)
    store[V_UPPER], store[V_LEFT], store[V_OUT_DIM] = bits(rs1, 9, 8), bits(rs1, 11, 10), bits(rs1, 31, 24)
    store[V_OUT_ROWS], store[V_OUT_COLUMNS] = bits(rs1, 39, 32), bits(rs1, 47, 40)
    store[V_ROWS], store[V_COLUMNS] = bits(rs1, 55, 48), bits(rs1, 63, 56)


@njit(cache=True, nogil=True)
def config_norm(rs1, rs2, store):  # type: ignore[no-untyped-def]
    """config_norm (StoreController.scala, DoConfigNorm)."""
    store[V_SET] = bits(rs1, 15, 8)
    if bits(rs1, 17, 17):
        return
    store[V_QB], store[V_QC] = wrapped(bits(rs2, 31, 0), 32), wrapped(bits(rs2, 63, 32), 32)
    store[V_QLN2_INV if bits(rs1, 18, 18) else V_QLN2] = wrapped(bits(rs1, 63, 32), 32)
    store[V_ACTIVATION] = (bits(rs1, 16, 16) << 2) | (store[V_ACTIVATION] & IGELU)


@njit(cache=True, nogil=True)
def config_load(rs1, rs2, loads):  # type: ignore[no-untyped-def]
    """config_ld into its row of `loads` (3, LOAD_SIZE)."""
    load = loads[bits(rs1, 4, 3)]
    load[L_STRIDE], load[L_BLOCK], load[L_SHRINK] = np.int64(rs2), bits(rs1, 31, 16), bits(rs1, 2, 2)
    load[L_SCALE], load[L_REPEATS] = bits(rs1, 63, 32), bits(rs1, 15, 8)
