// Colours that the colour-blind tell apart: those of classes (Okabe and Ito), and of numbers from negative to positive.
export const CLASSES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555"];
const NEGATIVE = [230, 159, 0], ZERO = [255, 255, 255], POSITIVE = [0, 114, 178];
const FLAT = 127;

const mix = (a, b, share) => a.map((value, at) => Math.round(value + (b[at] - value) * share));
export const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
export const faded = (colour, share) => mix(ZERO, colour, share);
export const classColour = (index) => CLASSES[index % CLASSES.length];

// The colour of a level from 0 to 254, of which 127 stands for 0.
export const LEVELS = Array.from({ length: 256 }, (_, level) => {
  const share = Math.max(-1, Math.min(1, (level - FLAT) / (FLAT - 1)));
  return share < 0 ? mix(ZERO, NEGATIVE, -share) : mix(ZERO, POSITIVE, share);
});

// The colour of a line for a weight, whose largest neighbour has the magnitude `top`.
export function weightColour(weight, top) {
  const share = Math.min(1, Math.abs(weight) / (top || 1));
  return `rgba(${(weight < 0 ? NEGATIVE : POSITIVE).join(",")},${(0.1 + 0.9 * share).toFixed(2)})`;
}

const WORDS = new Uint32Array(new Uint8Array(LEVELS.flatMap((colour) => [...colour, 255])).buffer);

// The pictures of `count` units, one below the other, on one canvas that `kept` holds for the next time.
// levels: (count, high, wide), each from its lowest line to the highest.
export function sheet(kept, levels, wide, high, count) {
  if (kept.canvas?.width !== wide || kept.canvas.height !== high * count) {
    kept.canvas = Object.assign(document.createElement("canvas"), { width: wide, height: high * count });
    kept.context = kept.canvas.getContext("2d");
    kept.image = kept.context.createImageData(wide, high * count);
    kept.words = new Uint32Array(kept.image.data.buffer);
  }
  for (let unit = 0; unit < count; unit++) {
    for (let line = 0; line < high; line++) {
      const from = (unit * high + line) * wide, to = (unit * high + high - 1 - line) * wide;
      for (let column = 0; column < wide; column++) kept.words[to + column] = WORDS[levels[from + column]];
    }
  }
  kept.context.putImageData(kept.image, 0, 0);
  return kept.canvas;
}

// A canvas with `levels`, (size * size) numbers from the lowest line to the highest, as a picture whose top is the highest.
export function picture(size, colourAt) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  for (let line = 0; line < size; line++) {
    for (let column = 0; column < size; column++) {
      const [r, g, b] = colourAt(line * size + column);
      image.data.set([r, g, b, 255], ((size - 1 - line) * size + column) * 4);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
