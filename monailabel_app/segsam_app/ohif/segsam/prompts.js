/**
 * Prompts of MONAI Label's panel: which of its tabs asks, and the boxes that this page adds to its
 * points.
 *
 * Boxes are rectangles of a tool of our own. They live among cornerstone's annotations like the
 * panel's points, so "Clear Points" removes them and a change of the segment puts them away.
 */

const TOOL = 'SegsamBox';
const POINTS = 'ProbeMONAILabel';
const TOOL_GROUPS = ['default', 'mpr'];
const RUN = { auto: 'Run Segmentation', points: 'Run PointPrompts', classes: 'Run Segmentation VISTA' };
/** Keys of each tab: the panel sends those of an earlier request again. */
const KEYS = { auto: [], points: ['foreground', 'background'], classes: ['label_prompt'] };
const ALL_KEYS = Object.values(KEYS).flat();
/** What the panel's options for "propagate" are called where a request has several boxes. */
const FOLLOWING = { always: true, never: false, memory: 'memory' };
/** Rows of segments, and the colour in which the panel marks the chosen one. */
const ROW = 'tr.clickable-row';
const CHOSEN = `${ROW}[style*="darkblue"]`;
const ANY_OBJECT = 'object';
const BACKGROUND = 'background';

export class Prompts {
  #services;
  #commands;
  #tab = 'points';
  /** The segment that was chosen last, other than the background. */
  #segment = ANY_OBJECT;

  /** `volume()` returns cornerstone's volume of the label map, or null. */
  constructor(services, commands, volume) {
    this.#services = services;
    this.#commands = commands;
    this.volume = volume;
    document.addEventListener('click', event => this.#noteClick(event), true);
  }

  /** Let the left mouse button draw boxes until a segment is chosen for points. A complete box is sent. */
  drawBoxes() {
    this.#addTool();
    this.#openPoints();
    this.#draw(TOOL);
  }

  /** Return the params to send in place of the panel's. */
  amended(params) {
    const keys = ALL_KEYS.filter(key => !KEYS[this.#tab].includes(key));
    const rest = Object.fromEntries(Object.entries(params).filter(([key]) => !keys.includes(key)));
    if (this.#tab !== 'points') return rest;
    const label = chosenSegment();
    const boxes = this.#boxes();
    if (!boxes.length) return label ? { ...rest, label } : rest;
    const { foreground = [], background = [], propagate, ...others } = rest;
    const point = positive => ijk => ({ ijk, positive });
    const points = [...foreground.map(point(true)), ...background.map(point(false))];
    return { ...others, propagate: FOLLOWING[propagate] ?? null, prompts: { points, boxes } };
  }

  /** Note what is clicked on, before the panel acts on it. */
  #noteClick({ target }) {
    const row = target.closest?.(ROW);
    const title = target.closest?.('button[title]')?.title;
    const tab = Object.keys(RUN).find(each => RUN[each] === title);
    if (row || tab) expectNoPoints();
    if (row) this.#draw(POINTS);
    if (row && row.textContent.trim() !== BACKGROUND) this.#segment = row.textContent.trim();
    if (!tab) return;
    this.#tab = tab;
    // With the background chosen, the panel would take points outside the object for the object's.
    if (tab === 'points' && !chosenSegment()) choose(this.#segment);
  }

  #draw(toolName) {
    this.#commands.runCommand('setToolActiveToolbar', { toolName, toolGroupIds: TOOL_GROUPS });
  }

  #openPoints() {
    const tab = document.querySelector('input[value="pointprompts"]');
    if (!tab?.checked) tab?.click();
    if (!chosenSegment()) choose(this.#segment);
  }

  #addTool() {
    const { addTool, Enums, RectangleROITool, ToolGroupManager } = window.cornerstoneTools;
    const groups = TOOL_GROUPS.map(id => ToolGroupManager.getToolGroup(id)).filter(Boolean);
    if (groups.every(group => group.hasTool(TOOL))) return;
    class BoxTool extends RectangleROITool {
      static toolName = TOOL;
    }
    addTool(BoxTool);
    groups.forEach(group => group.hasTool(TOOL) || group.addTool(TOOL, { getTextLines: () => [] }));
    window.cornerstone.eventTarget.addEventListener(Enums.Events.ANNOTATION_COMPLETED, ({ detail }) => {
      if (detail.annotation.metadata.toolName === TOOL) this.#send();
    });
  }

  /** Send the box as the panel sends points. */
  #send() {
    document.querySelector(`button[title="${RUN.points}"]`)?.click();
  }

  #boxes() {
    const { imageData, dimensions } = this.volume() ?? {};
    const manager = window.cornerstoneTools.annotation.state.getAnnotationManager();
    return manager
      .getAllAnnotations()
      .filter(({ metadata }) => metadata.toolName === TOOL)
      .map(({ data }) => boxOf(data.handles.points.map(point => imageData.worldToIndex(point)), dimensions));
  }
}

/** Return the box of corner points in voxel indices, rounded and inside the image. */
function boxOf(corners_ijk, dimensions) {
  const along = axis => corners_ijk.map(corner => corner[axis]);
  const inside = (value, axis) => Math.min(Math.max(Math.round(value), 0), dimensions[axis] - 1);
  return {
    min_ijk: [0, 1, 2].map(axis => inside(Math.min(...along(axis)), axis)),
    max_ijk: [0, 1, 2].map(axis => inside(Math.max(...along(axis)), axis)),
  };
}

/** Return the name of the segment that is chosen in the panel; '' if none is. */
export function chosenSegment() {
  return document.querySelector(CHOSEN)?.textContent.trim() ?? '';
}

/** Let the panel, which stops with an error where there are no points, find a list of none. */
function expectNoPoints() {
  const { annotations } = window.cornerstoneTools.annotation.state.getAnnotationManager();
  for (const tools of Object.values(annotations)) tools[POINTS] ??= [];
}

function choose(name) {
  const rows = [...document.querySelectorAll(ROW)];
  rows.find(row => row.textContent.trim() === name)?.click();
}
