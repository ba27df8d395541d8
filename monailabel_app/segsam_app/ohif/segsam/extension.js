/**
 * SEG-SAM in the viewer OHIF, on top of the panel of MONAI Label 0.8.5.
 *
 * It knows the panel from inside: its segmentation, the titles of its buttons, the keys of its
 * requests. So it belongs to this version of it.
 */

import { Drawing } from './drawing.js';
import { element } from './elements.js';
import { askForToken } from './login.js';
import { Panel } from './panel.js';
import { Prompts, chosenSegment } from './prompts.js';
import { token, watchRequests } from './requests.js';
import * as server from './server.js';

const PANEL = '.monaiLabelPanel';
const POLL_MS = 700;
const WAIT_MS = 300;
const ANY_OBJECT = 'object';
const CONFLICT = 409;
const OTHER_NAMES =
  'The list of structures of this server has changed. Nothing was drawn; submit what you have, and load this page again.';

/** Called by OHIF before its first request for data. */
export async function start({ servicesManager, commandsManager }) {
  document.head.append(element('link', { rel: 'stylesheet', href: '/ohif/segsam/panel.css' }));
  const { origin } = location;
  // Where the panel looks for the server's address.
  for (const path of ['/ohif/', '/ohif/monai-label']) {
    document.cookie = `MONAILABEL_SERVER_URL=${escape(`${origin}/`)}; path=${path}; SameSite=Strict`;
  }
  const page = new Page(servicesManager.services, commandsManager);
  watchRequests({ inference: request => page.inferenceStarts(request), ended: reply => page.ended(reply) });
  const { needs_token, notice } = await server.facts();
  if (notice) document.body.append(element('p', { className: 'segsam-notice' }, notice));
  if (needs_token && !token()) await askForToken();
  page.watchForPanel();
}

class Page {
  #services;
  /** The last answer: {image, isPrompted, refusal}; null before the first. */
  #answer = null;
  /** Model -> its list of labels when the panel was connected. */
  #labels = {};
  /** Sentence of the last reply that was an error, '' if it was none. */
  #error = '';
  /** Version of the label that the user began from; null before it is known. */
  #version = null;
  /** Id of the inference that runs. */
  #running = '';
  #isLogin = false;
  /** True if something was drawn since the last submit. */
  #isChanged = false;

  constructor(services, commands) {
    this.#services = services;
    this.drawing = new Drawing(services, {
      lastAnswer: () => this.#answer,
      notify: sentence => this.panel.showSaved(sentence),
    });
    this.prompts = new Prompts(services, commands, () => this.drawing.volume);
    this.panel = new Panel({
      drawBoxes: () => this.prompts.drawBoxes(),
      rename: ({ from, name }) => this.drawing.rename(from, name),
      submit: () => this.#submit(),
      next: strategy => this.#next(strategy),
    });
    this.#explainFailures();
    window.addEventListener('beforeunload', event => this.#isChanged && event.preventDefault());
  }

  /** Put our part into MONAI Label's panel whenever that appears, and connect it. */
  watchForPanel() {
    const { EVENTS } = this.#services.segmentationService;
    const modified = ({ segmentationId }) => this.drawing.is(segmentationId) && this.#changed();
    this.#services.segmentationService.subscribe(EVENTS.SEGMENTATION_DATA_MODIFIED, modified);
    new MutationObserver(() => {
      const theirs = document.querySelector(PANEL);
      if (!theirs || theirs.contains(this.panel.root)) return;
      theirs.prepend(this.panel.root);
      this.#connect(theirs);
    }).observe(document.body, { childList: true, subtree: true });
  }

  /** Return the params of an inference that starts now, and show its progress. */
  inferenceStarts({ id, params }) {
    this.#showProgressOf(id);
    return this.prompts.amended(params);
  }

  /** Take a reply in before the page does. */
  ended({ path, inference, status, error, header, text }) {
    if (status === 401) this.#logIn();
    this.#error = error;
    if (inference) this.#answered(inference, error, header);
    if (path === '/info/' && !error) this.#connected(JSON.parse(text()));
  }

  #connected({ strategies, models }) {
    this.panel.showStrategies(strategies);
    this.#labels = Object.fromEntries(Object.entries(models).map(([name, { labels }]) => [name, labels]));
    this.#isChanged = false;
    this.panel.showSegments([]);
  }

  #answered({ model, params, image }, error, header) {
    this.#running = '';
    this.panel.showProgress('');
    if (error) {
      this.#answer = null;
      this.panel.showProblem(error);
      return;
    }
    const isPrompted = 'foreground' in params || 'background' in params || 'prompts' in params;
    const answer = JSON.parse(header('X-Answer') ?? '{}');
    const notes = JSON.parse(header('X-Notes') ?? '[]');
    this.#answer = { image, isPrompted, refusal: this.#isOfKnownNames(model, answer) ? '' : OTHER_NAMES };
    if (isPrompted) this.#showCategory(answer, notes);
    else this.panel.showAnswer(foundSentence(answer), notes);
  }

  /** True if the panel has the same names for the values of an answer as the server. */
  #isOfKnownNames(model, { label_names: names = {} }) {
    const labels = this.#labels[model] ?? [];
    return Object.entries(names).every(([name, value]) => [name, undefined].includes(labels[value - 1]));
  }

  #showCategory({ category, confidence }, notes) {
    if (!category) {
      this.panel.showAnswer('Segmented, without a name of the model.', notes);
      return;
    }
    const chosen = chosenSegment();
    const suggestion = chosen === ANY_OBJECT ? { from: chosen, name: category } : null;
    this.panel.showAnswer(`${category}, ${percent(confidence)} sure`, notes, suggestion);
  }

  /** Press the panel's button once the series of the active viewport is there. */
  async #connect(theirs) {
    while (theirs.isConnected && !this.#isLoaded()) await pause(WAIT_MS);
    theirs.querySelector('.settingsTable button')?.click();
  }

  #isLoaded() {
    const { viewportGridService, cornerstoneViewportService } = this.#services;
    const { activeViewportId } = viewportGridService.getState();
    const info = cornerstoneViewportService.getViewportInfo(activeViewportId);
    return Boolean(info?.viewportData?.data?.[0]?.volume?.loadStatus?.loaded);
  }

  #changed() {
    const segments = this.drawing.segments();
    this.#isChanged = segments.length > 0; // it is also called for the empty segmentation
    this.panel.showSegments(segments);
    this.#learnVersion();
  }

  /** Ask for the version that the user begins from, once for each series. */
  async #learnVersion() {
    const { series } = this.drawing;
    if (this.#version?.series === series) return;
    this.#version = { series, number: 0 };
    try {
      const number = await server.currentVersion(series);
      this.#version = { series, number };
      if (number) this.panel.showSaved(`There is a saved label, version ${number}. Submit makes a new version; that one is kept.`);
    } catch (error) {
      this.#showError(error);
    }
  }

  async #submit() {
    const { series } = this.drawing;
    const names = Object.fromEntries(this.drawing.segments().map(({ name, value }) => [name, value]));
    this.panel.showSaved('Saving');
    this.#isChanged = false;
    try {
      const saved = await server.saveLabel(series, await this.drawing.file(), names, this.#version.number);
      this.#version = { series, number: saved.version };
      this.panel.showSaved(`Saved as version ${saved.version}.`);
    } catch (error) {
      this.#isChanged = true;
      this.panel.showSaved('');
      this.#showError(error);
      if (error.status !== CONFLICT) return;
      this.#version = { series, number: await server.currentVersion(series) };
      this.panel.showSaved('Submit again to put your label in the place of that one, which is kept as a version.');
    }
  }

  async #next(strategy) {
    try {
      const { id, why, series } = await server.nextImage(strategy);
      if (!id) return this.panel.showNext(why ?? 'Every image has a label.');
      const study = series && (await server.studyOf(series));
      if (!study) return this.panel.showNext(`${why} It is ${id}, which is no DICOM series: this viewer cannot show it.`);
      const address = new URL('/ohif/monai-label', location.origin);
      address.search = new URLSearchParams({ StudyInstanceUIDs: study, SeriesInstanceUIDs: series });
      this.panel.showNext(why, address.href);
    } catch (error) {
      this.#showError(error);
    }
  }

  #showError({ message, status }) {
    this.panel.showProblem(message);
    if (status === 401) this.#logIn();
  }

  /** Ask for the token again: the server has another one now. */
  async #logIn() {
    if (this.#isLogin) return;
    this.#isLogin = true;
    await askForToken();
    this.#isLogin = false;
    if (!this.#isChanged) location.reload();
  }

  /** Give the server's sentence in place of the viewer's "Failed to ...". */
  #explainFailures() {
    const service = Object.getPrototypeOf(this.#services.uiNotificationService);
    const { show } = service;
    const page = this;
    service.show = function (notification) {
      const isFailure = notification.type === 'error' && page.#error;
      return show.call(this, isFailure ? { ...notification, message: page.#error } : notification);
    };
  }

  async #showProgressOf(id) {
    this.panel.showProgress('Segmenting');
    this.#running = id;
    while (this.#running === id) {
      await pause(POLL_MS);
      if (this.#running !== id) return;
      const state = await server.progress(id).catch(() => null);
      if (state && this.#running === id) this.panel.showProgress(state.what || 'Segmenting', state);
    }
  }
}

function foundSentence({ certainties = {} }) {
  const found = Object.entries(certainties).map(([name, certainty]) => `${name} (${percent(certainty)})`);
  return found.length ? `Found ${found.join(', ')}.` : 'Nothing was found.';
}

const percent = share => `${Math.round(100 * share)} %`;
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
