/** Voxels of a label map: counts, what an automatic answer may change, and the file to submit. */

const VALUES = 256;

/** Return {counts, sums} by value: how many voxels hold it, and a sum that depends on which. */
export function tally(voxels) {
  const counts = new Uint32Array(VALUES);
  const sums = new Int32Array(VALUES);
  for (let n = 0; n < voxels.length; n++) {
    const value = voxels[n];
    if (value === 0) continue;
    counts[value]++;
    sums[value] = (Math.imul(sums[value], 31) + n) | 0;
  }
  return { counts, sums };
}

/**
 * Return `before` with what is new in `after`, where nothing in `before` was drawn.
 *
 * `isDrawn[value]` is true for a segment that the user drew. What `after` adds to such a segment goes
 * to `valueFor(value)` instead.
 */
export function keepingDrawn(before, after, isDrawn, valueFor) {
  const voxels = before.slice();
  for (let n = 0; n < after.length; n++) {
    const value = after[n];
    if (value === before[n] || isDrawn[before[n]]) continue;
    voxels[n] = isDrawn[value] ? valueFor(value) : value;
  }
  return voxels;
}

/** Return a label map as an NRRD file; `volume` is one of cornerstone, whose world is LPS in mm. */
export async function nrrdOf(volume, voxels) {
  const { dimensions, spacing, direction, origin } = volume;
  const vector = numbers => `(${Array.from(numbers).join(',')})`;
  const step = axis => vector(direction.slice(3 * axis, 3 * axis + 3).map(part => part * spacing[axis]));
  const header = [
    'NRRD0004',
    'type: uint8',
    'dimension: 3',
    'space: left-posterior-superior',
    `sizes: ${Array.from(dimensions).join(' ')}`,
    `space directions: ${[0, 1, 2].map(step).join(' ')}`,
    'kinds: domain domain domain',
    'encoding: gzip',
    `space origin: ${vector(origin)}`,
  ];
  const packed = new Blob([Uint8Array.from(voxels)]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Blob([`${header.join('\n')}\n\n`, await new Response(packed).blob()]);
}
