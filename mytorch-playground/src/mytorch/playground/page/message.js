// A message of the session: a header in JSON, and tensors behind it, as message.py writes them.
const ARRAYS = { u8: Uint8Array, f32: Float32Array };

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const begin = 4 + length;
  for (const [name, { dtype, shape, at }] of Object.entries(message.tensors)) {
    const count = shape.reduce((product, size) => product * size, 1);
    message.tensors[name] = { shape, data: new ARRAYS[dtype](buffer, begin + at, count) };
  }
  return message;
}
