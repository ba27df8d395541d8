/** What SEG-SAM adds to MONAI Label's panel: box, answer, segments, submit, next image. */

import { element } from './elements.js';

export class Panel {
  #fields = {};

  /** `actions`: {drawBoxes, rename, submit, next, open}, called without the panel's knowledge. */
  constructor(actions) {
    this.actions = actions;
    this.root = this.#build();
  }

  /** Show what runs now: a sentence and, if known, how much of it is done. '' if nothing runs. */
  showProgress(sentence, { done = 0, planned = 0 } = {}) {
    const { progress, bar } = this.#fields;
    progress.hidden = !sentence;
    progress.firstChild.textContent = sentence;
    bar.hidden = !planned;
    Object.assign(bar, { max: planned || 1, value: done });
  }

  /** Show what the model takes an object for, and `notes`. */
  showAnswer(sentence, notes = [], suggestion = null) {
    const { answer } = this.#fields;
    answer.className = 'segsam-answer';
    answer.replaceChildren(element('strong', {}, sentence), ...notes.map(note => element('p', {}, note)));
    if (!suggestion) return;
    const move = element('button', {}, `Name it ${suggestion.name}`);
    move.addEventListener('click', () => {
      move.remove();
      this.actions.rename(suggestion);
    });
    answer.append(move);
  }

  /** Show a problem as a sentence. */
  showProblem(sentence) {
    const { answer } = this.#fields;
    answer.className = 'segsam-problem';
    answer.replaceChildren(sentence);
  }

  /** Show the segments that hold something. */
  showSegments(segments) {
    const row = ({ name, ml, colour }) => {
      const swatch = element('span', { className: 'segsam-colour' });
      swatch.style.background = colour;
      return element('tr', {}, cell(swatch), cell(name), cell(`${ml.toFixed(1)} ml`));
    };
    this.#fields.segments.replaceChildren(...segments.map(row));
    this.#fields.submit.disabled = !segments.length;
  }

  /** Show what was saved, or is there already. */
  showSaved(sentence) {
    this.#fields.saved.textContent = sentence;
  }

  /** Show the strategies for the next image. */
  showStrategies(strategies) {
    const option = ([name, { description }]) => element('option', { value: name, title: description }, name);
    this.#fields.strategy.replaceChildren(...Object.entries(strategies).map(option));
  }

  /** Show the next image with the reason, or that there is none. */
  showNext(sentence, address) {
    const link = address ? [element('a', { href: address }, 'Open it')] : [];
    this.#fields.next.replaceChildren(sentence, ' ', ...link);
  }

  #build() {
    const { actions } = this;
    const button = (name, title, act) => {
      const made = element('button', { type: 'button', title }, name);
      made.addEventListener('click', act);
      return made;
    };
    const box = button('Draw boxes', 'Drag a rectangle round the object', () => actions.drawBoxes());
    const submit = button('Submit', 'Save the segments as a new version of the label', () => actions.submit());
    const strategy = element('select', { title: 'How the next image is chosen' });
    const next = button('Next image', 'Choose the next image to label', () => actions.next(strategy.value));
    const bar = element('progress', { hidden: true });
    this.#fields = {
      bar,
      strategy,
      submit,
      progress: element('div', { hidden: true, className: 'segsam-progress' }, element('span'), bar),
      answer: element('div'),
      segments: element('tbody'),
      saved: element('p', { className: 'segsam-saved' }),
      next: element('p', { className: 'segsam-next' }),
    };
    submit.disabled = true;
    const { progress, answer, segments, saved, next: chosen } = this.#fields;
    return element(
      'section',
      { id: 'segsam' },
      element('div', { className: 'segsam-row' }, box, submit),
      progress,
      answer,
      element('table', {}, segments),
      saved,
      element('div', { className: 'segsam-row' }, next, strategy),
      chosen
    );
  }
}

const cell = content => element('td', {}, content);
