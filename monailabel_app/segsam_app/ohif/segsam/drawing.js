/**
 * The segmentation that MONAI Label's panel draws into, and the guard in front of its voxels.
 *
 * The panel writes each answer as a whole label map. The guard lets an answer change only the series
 * that it is of, and an answer without prompts only what nobody drew.
 */

import { keepingDrawn, nrrdOf, tally } from './voxels.js';

/** The panel's segmentation always has this id. */
const SEGMENTATION = '1';
const MOST_VALUES = 255;
const OTHER_SERIES =
  'The answer is for another series than the segmentation. Nothing was drawn; open that series on its own.';

export class Drawing {
  #service;
  /** Voxels of a label map -> value -> sum of the voxels that an automatic answer gave it. */
  #automatic = new WeakMap();

  /** `lastAnswer()` returns {image, isPrompted, refusal} of the answer that is written next. */
  constructor(services, { lastAnswer, notify }) {
    this.#service = services.segmentationService;
    this.lastAnswer = lastAnswer;
    this.notify = notify;
    this.#wrapService();
  }

  /** True for the id of this segmentation. */
  is(id) {
    return id === SEGMENTATION;
  }

  /** Volume of the label map; null before the panel is connected. */
  get volume() {
    const known = this.#service.getSegmentation(SEGMENTATION);
    return known ? this.#service.getLabelmapVolume(SEGMENTATION) : null;
  }

  /** SeriesInstanceUID of the image that the label map belongs to. */
  get series() {
    const { cache, metaData } = window.cornerstone;
    const image = cache.getImage(this.volume.imageIds[0]);
    return metaData.get('generalSeriesModule', image.referencedImageId)?.seriesInstanceUID;
  }

  /** Return the segments that hold voxels: [{value, name, voxels, ml, colour}]. */
  segments() {
    const { volume } = this;
    if (!volume) return [];
    const { counts } = tally(this.#read(volume));
    const ml = volume.spacing.reduce((product, step) => product * step, 1) / 1000;
    return this.#named()
      .filter(({ value }) => counts[value])
      .map(({ value, name }) => ({
        value,
        name,
        voxels: counts[value],
        ml: counts[value] * ml,
        colour: this.#colour(value),
      }));
  }

  /** Return the label map as an NRRD file. */
  file() {
    return nrrdOf(this.volume, this.#read(this.volume));
  }

  /** Move the voxels of one segment to another; both are named. */
  rename(from, to) {
    const [value, target] = [from, to].map(name => this.#named().find(one => one.name === name)?.value);
    if (!value || !target) return;
    const voxels = this.#read(this.volume).map(each => (each === value ? target : each));
    this.volume.voxelManager.setCompleteScalarDataArray(voxels);
    window.cornerstone.triggerEvent(
      window.cornerstone.eventTarget,
      window.cornerstoneTools.Enums.Events.SEGMENTATION_DATA_MODIFIED,
      { segmentationId: SEGMENTATION }
    );
  }

  #wrapService() {
    const service = this.#service;
    const volumeOf = service.getLabelmapVolume.bind(service);
    service.getLabelmapVolume = id => (id === SEGMENTATION ? this.#guard(volumeOf(id)) : volumeOf(id));
    // The panel takes the first one for its own; one that was loaded from a file would come first.
    const all = service.getSegmentations.bind(service);
    const isOther = segmentation => segmentation.segmentationId !== SEGMENTATION;
    service.getSegmentations = () => [...(all() ?? [])].sort((a, b) => isOther(a) - isOther(b));
  }

  #guard(volume) {
    const manager = volume?.voxelManager;
    if (!manager || this.#automatic.has(manager)) return volume;
    this.#automatic.set(manager, new Map());
    const write = manager.setCompleteScalarDataArray.bind(manager);
    manager.setCompleteScalarDataArray = voxels => write(this.#admitted(volume, voxels));
    return volume;
  }

  /** Return what is written in place of `after`. */
  #admitted(volume, after) {
    const before = this.#read(volume);
    const answer = this.lastAnswer();
    if (!answer) return after;
    const refusal = answer.image === this.series ? answer.refusal : OTHER_SERIES;
    if (refusal) {
      this.notify(refusal);
      return before;
    }
    return answer.isPrompted ? after : this.#withAutomatic(volume.voxelManager, before, after);
  }

  #withAutomatic(manager, before, after) {
    const { counts, sums } = tally(before);
    const automatic = this.#automatic.get(manager);
    const isDrawn = Array.from(counts, (count, value) => count > 0 && automatic.get(value) !== sums[value]);
    const added = new Map();
    const valueFor = value => {
      if (!added.has(value)) added.set(value, this.#addSegment(value));
      return added.get(value);
    };
    const voxels = keepingDrawn(before, after, isDrawn, valueFor);
    const now = tally(voxels);
    automatic.clear();
    now.counts.forEach((count, value) => {
      if (count && !isDrawn[value]) automatic.set(value, now.sums[value]);
    });
    if (added.size) {
      const names = [...added.values()].map(value => this.#named().find(one => one.value === value).name);
      this.notify(`What you drew was kept. The automatic result is beside it: ${names.join(', ')}.`);
    }
    return voxels;
  }

  /** Add a segment for the automatic result of one that the user drew, and return its value. */
  #addSegment(drawn) {
    const named = this.#named();
    const values = new Set(named.map(({ value }) => value));
    const free = Array.from({ length: MOST_VALUES }, (_, n) => n + 1).find(value => !values.has(value));
    if (!free) return 0;
    const names = new Set(named.map(({ name }) => name));
    const base = named.find(({ value }) => value === drawn)?.name ?? `segment ${drawn}`;
    let name = `${base} (automatic)`;
    for (let n = 2; names.has(name); n++) name = `${base} (automatic ${n})`;
    const active = this.#service.getActiveSegment?.(this.#viewport())?.segmentIndex;
    this.#service.addSegment(SEGMENTATION, { segmentIndex: free, label: name });
    if (active) this.#service.setActiveSegment(SEGMENTATION, active);
    return free;
  }

  #named() {
    const { segments = {} } = this.#service.getSegmentation(SEGMENTATION) ?? {};
    return Object.values(segments).map(({ segmentIndex, label }) => ({ value: Number(segmentIndex), name: label }));
  }

  #colour(value) {
    const [red, green, blue] = this.#service.getSegmentColor(this.#viewport(), SEGMENTATION, value) ?? [];
    return red === undefined ? 'grey' : `rgb(${red}, ${green}, ${blue})`;
  }

  #viewport() {
    return this.#service.getViewportIdsWithSegmentation(SEGMENTATION)[0];
  }

  #read(volume) {
    return volume.voxelManager.getCompleteScalarDataArray();
  }
}
