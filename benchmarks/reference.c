/* Training steps as plain C: linear layers with ReLU between them, mean squared error, SGD with momentum.

   The sizes are constants of the compilation, so that loops can be unrolled and vectorised; reference.py compiles it.
   The rows of a batch lie side by side, x[feature][row], so that the inner loops run over rows. Rows are padded to
   WIDE; nothing of the padding reaches a weight, since its d_y is 0. */

enum { LAYERS = sizeof((int[]){SIZES}) / sizeof(int) - 1, LANES = 16, WIDE = (BATCH + LANES - 1) / LANES * LANES };
static const int sizes[] = {SIZES};

typedef float Row[WIDE] __attribute__((aligned(64)));
static Row activations[LAYERS][WIDEST], gradients[2][WIDEST];

/* y = weight x + bias, and its ReLU unless this is the last layer */
static inline void forward(int in, int out, int last, const float *weight, const float *bias, const Row *x, Row *y)
{
    for (int o = 0; o < out; o++) {
        Row sum;
        for (int b = 0; b < WIDE; b++) sum[b] = bias[o];
        for (int i = 0; i < in; i++)
            for (int b = 0; b < WIDE; b++) sum[b] += weight[o * in + i] * x[i][b];
        for (int b = 0; b < WIDE; b++) y[o][b] = last || sum[b] > 0 ? sum[b] : 0;
    }
}

/* d_x = d_y weight where x, the output of a ReLU, is above 0 */
static inline void backward(int in, int out, const float *weight, const Row *x, const Row *d_y, Row *d_x)
{
    for (int i = 0; i < in; i++) {
        Row sum = {0};
        for (int o = 0; o < out; o++)
            for (int b = 0; b < WIDE; b++) sum[b] += weight[o * in + i] * d_y[o][b];
        for (int b = 0; b < WIDE; b++) d_x[i][b] = x[i][b] > 0 ? sum[b] : 0;
    }
}

/* velocity = MOMENTUM velocity + d_value;  value -= LR velocity */
static inline void move(float *value, float *velocity, float d_value)
{
    *velocity = MOMENTUM * *velocity + d_value;
    *value -= LR * *velocity;
}

static inline void update(int in, int out, float *values, float *velocities, const Row *x, const Row *d_y)
{
    for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++) {
            float sum = 0;
            for (int b = 0; b < WIDE; b++) sum += d_y[o][b] * x[i][b];
            move(values + o * in + i, velocities + o * in + i, sum);
        }
        float sum = 0;
        for (int b = 0; b < WIDE; b++) sum += d_y[o][b];
        move(values + out * in + o, velocities + out * in + o, sum);
    }
}

/* The mean of (y - target)^2, and its gradient */
static inline float loss_of(int out, const Row *y, const Row *targets, Row *d_y)
{
    float sum = 0;
    for (int o = 0; o < out; o++)
        for (int b = 0; b < BATCH; b++) {
            float difference = y[o][b] - targets[o][b];
            sum += difference * difference;
            d_y[o][b] = difference * (2.0f / (BATCH * out));
        }
    for (int o = 0; o < out; o++)
        for (int b = BATCH; b < WIDE; b++) d_y[o][b] = 0;
    return sum / (BATCH * out);
}

/* One step; returns the loss. values and velocities: for each layer the weight (out, in), then the bias. */
static float step(float *values, float *velocities, const Row *inputs, const Row *targets)
{
    int at = 0;
#pragma GCC unroll 16
    for (int n = 0; n < LAYERS; n++) {
        const Row *x = n ? activations[n - 1] : inputs;
        forward(sizes[n], sizes[n + 1], n == LAYERS - 1, values + at, values + at + sizes[n] * sizes[n + 1], x,
                activations[n]);
        at += (sizes[n] + 1) * sizes[n + 1];
    }
    float loss = loss_of(sizes[LAYERS], activations[LAYERS - 1], targets, gradients[LAYERS % 2]);
#pragma GCC unroll 16
    for (int n = LAYERS - 1; n >= 0; n--) {
        const Row *x = n ? activations[n - 1] : inputs, *d_y = gradients[(n + 1) % 2];
        at -= (sizes[n] + 1) * sizes[n + 1];
        if (n) backward(sizes[n], sizes[n + 1], values + at, x, d_y, gradients[n % 2]);
        update(sizes[n], sizes[n + 1], values + at, velocities + at, x, d_y);
    }
    return loss;
}

/* So many steps on one batch; returns the loss of the last. */
float train(int steps, float *values, float *velocities, const Row *inputs, const Row *targets)
{
    float loss = 0;
    for (int n = 0; n < steps; n++) loss = step(values, velocities, inputs, targets);
    return loss;
}
