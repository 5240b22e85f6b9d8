// A product of two matrices whose sizes and strides the compiler knows:
//     out[m][n] = bias[n] + sum over k of a[m * AM + k * AK] * b[k * BK + n * BN]
// b is laid into rows of whole vectors. A block of rows of out is kept in registers until its sums are complete; in a
// row of 25 floats that is two vectors of 16.
#include <ATen/cpu/vec/vec.h>
#include <c10/util/Unroll.h>

#include <algorithm>

template <typename T, int M, int N, int K, int AM, int AK, int BK, int BN, bool has_bias>
struct Product {
    using Vector = at::vec::Vectorized<T>;
    static constexpr int LANES = Vector::size(), VECTORS = (N + LANES - 1) / LANES, WIDE = VECTORS * LANES;
    static constexpr int REGISTERS = sizeof(Vector) == 32 ? 16 : 32;  // of AVX2; of AVX-512 and ARM
    static constexpr int MOST = std::clamp((REGISTERS - 1) / VECTORS - 1, 1, M);

    // Rows of a block: as many as have room beside a row of b, or somewhat fewer if no others are left over then.
    static constexpr int rows_of_block() {
        for (int rows = MOST; 2 * rows > MOST; rows--)
            if (M % rows == 0) return rows;
        return MOST;
    }

    template <int ROWS>
    static C10_ALWAYS_INLINE void block(const T* a, const T (*b)[WIDE], const T* start, T* out) {
        const c10::ForcedUnroll<ROWS> each_row;
        const c10::ForcedUnroll<VECTORS> each_vector;
        Vector sum[ROWS][VECTORS], row[VECTORS];
        each_row([&](auto r) { each_vector([&](auto v) { sum[r][v] = Vector::loadu(start + v * LANES); }); });
        for (int k = 0; k < K; k++) {
            each_vector([&](auto v) { row[v] = Vector::loadu(b[k] + v * LANES); });
            each_row([&](auto r) {
                const Vector factor(a[r * AM + k * AK]);
                each_vector([&](auto v) { sum[r][v] = at::vec::fmadd(factor, row[v], sum[r][v]); });
            });
        }
        each_row([&](auto r) {
            each_vector([&](auto v) { sum[r][v].store(out + r * N + v * LANES, std::min(LANES, N - v * LANES)); });
        });
    }

    static void run(const T* a, const T* b, const T* bias, T* out) {
        constexpr int ROWS = rows_of_block(), LEFT_OVER = M % ROWS;
        alignas(64) T rows[K][WIDE], start[WIDE] = {};
        if constexpr (has_bias) std::copy_n(bias, N, start);
        for (int k = 0; k < K; k++) {  // two loops: compilers do not vectorise one with a condition
            for (int n = 0; n < N; n++) rows[k][n] = b[k * BK + n * BN];
            for (int n = N; n < WIDE; n++) rows[k][n] = 0;
        }
        for (int m = 0; m < M - LEFT_OVER; m += ROWS) block<ROWS>(a + m * AM, rows, start, out + m * N);
        if constexpr (LEFT_OVER != 0)
            block<LEFT_OVER>(a + (M - LEFT_OVER) * AM, rows, start, out + (M - LEFT_OVER) * N);
    }
};
