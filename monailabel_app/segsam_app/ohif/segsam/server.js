/** Calls of this page's own to the server. Each raises an `Error` with the server's sentence. */

import { sentenceOf } from './requests.js';

async function ask(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw refusal(0, '');
  }
  const text = await reply.text();
  if (!reply.ok) throw refusal(reply.status, text);
  return text ? JSON.parse(text) : null;
}

function refusal(status, text) {
  return Object.assign(new Error(sentenceOf(status, text)), { status });
}

const query = fields => new URLSearchParams(fields).toString();

/** Return {needs_token, notice}: what the server tells everybody. */
export const facts = () => ask('/ohif/segsam/server.json');

/** Return true if the server takes this token. */
export async function takes(token) {
  const headers = { Authorization: `Bearer ${token}` };
  const reply = await fetch('/datastore/?output=stats', { headers });
  return reply.status !== 401;
}

/** Return {done, planned, what} of a running inference; null if it does not run. */
export const progress = id => ask(`/segsam/progress/${encodeURIComponent(id)}?optional=true`);

/** Return the number of the current version of an image's label; 0 if it has none. */
export async function currentVersion(image) {
  return (await ask(`/datastore/label/versions?${query({ label: image })}`)).current;
}

/**
 * Save a label as a new version of `image`'s, which began from `version`.
 *
 * `file` is an NRRD, `names` name -> value. Returns the server's reply, with its `version`. Raises an
 * error with status 409 if the label has changed since; it is stored all the same.
 */
export function saveLabel(image, file, names, version) {
  const form = new FormData();
  form.append('params', JSON.stringify({ label_names: names }));
  form.append('label', file, 'label.nrrd');
  const headers = version ? { 'If-Match': `"${version}"` } : { 'If-None-Match': '*' };
  return ask(`/datastore/label?${query({ image })}`, { method: 'PUT', body: form, headers });
}

/** Return {id, why, series} of the next image to label by a strategy; {} if there is none. */
export async function nextImage(strategy) {
  const chosen = await ask(`/activelearning/${encodeURIComponent(strategy)}`, {
    method: 'POST',
    body: '{}',
    headers: { 'Content-Type': 'application/json' },
  });
  return { ...chosen, series: chosen.SeriesInstanceUID ?? chosen.series };
}

/** Return the UID of the study of a series; undefined if no viewer can show it. */
export async function studyOf(series) {
  const found = await ask(`/proxy/dicom/qido/series?${query({ SeriesInstanceUID: series })}`);
  return found?.[0]?.['0020000D']?.Value?.[0];
}
