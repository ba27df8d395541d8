/**
 * The page's requests to this server, whoever sends them: with the token, with what an inference
 * needs besides what MONAI Label's panel says, and with their replies reported.
 */

const TOKEN = 'segsam-token';

/** Return the token of this tab; '' if there is none. It is forgotten when the tab is closed. */
export const token = () => sessionStorage.getItem(TOKEN) ?? '';

/** Remember the token for this tab. */
export const rememberToken = text => sessionStorage.setItem(TOKEN, text);

/** Return a reply's error as a sentence. `text` is its body. */
export function sentenceOf(status, text) {
  if (status === 0) return 'The server cannot be reached.';
  try {
    const { detail } = JSON.parse(text);
    if (typeof detail === 'string') return detail;
  } catch {
    // The body is not ours: a proxy in between wrote it.
  }
  return `The server answered with status ${status}.`;
}

/**
 * Watch all requests to this server.
 *
 * `hooks.inference({model, image, params, id})` returns the params to send in place of those.
 * `hooks.ended({path, inference, status, error, header, text})` is called before the page sees the
 * reply; `error` is '' or a sentence, `inference` is null for other requests.
 */
export function watchRequests(hooks) {
  const { open, send } = XMLHttpRequest.prototype;
  const exchanges = new WeakMap();

  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    const address = new URL(url, location.href);
    if (address.origin !== location.origin) return open.call(this, method, url, ...rest);
    quietTrainingStatus(address);
    open.call(this, method, address, ...rest);
    addToken((name, value) => this.setRequestHeader(name, value));
    const exchange = { address, inference: null };
    exchanges.set(this, exchange);
    // Added before the sender's own listeners, so that it runs before them.
    this.addEventListener('loadend', () => hooks.ended(replyOf(this, exchange)));
  };

  XMLHttpRequest.prototype.send = function (body) {
    const exchange = exchanges.get(this);
    if (exchange && body instanceof FormData) exchange.inference = amend(exchange.address, body, hooks);
    send.call(this, body);
  };

  const plainFetch = window.fetch;
  window.fetch = (input, init) => {
    const request = new Request(input, init);
    if (new URL(request.url).origin === location.origin) {
      addToken((name, value) => request.headers.has(name) || request.headers.set(name, value));
    }
    return plainFetch(request);
  };
}

function addToken(set) {
  if (token()) set('Authorization', `Bearer ${token()}`);
}

/**
 * Send the panel's question whether a training runs to where nothing is found: "no" is a 404, which
 * is no error here, and its button for training is hidden.
 */
function quietTrainingStatus(address) {
  if (address.pathname !== '/train/' || !address.searchParams.has('check_if_running')) return;
  Object.assign(address, { pathname: '/ohif/segsam/server.json', search: '' });
}

/** Change an inference request, whose form is `body`, and return what it asks for. */
function amend(address, body, hooks) {
  const [, model] = address.pathname.match(/^\/infer\/([^/]+)$/) ?? [];
  if (!model) return null;
  const inference = {
    model: decodeURIComponent(model),
    image: address.searchParams.get('image'),
    params: JSON.parse(body.get('params') ?? '{}'),
    id: crypto.randomUUID?.() ?? String(Math.random()),
  };
  inference.params = { ...hooks.inference(inference), request_id: inference.id };
  body.set('params', JSON.stringify(inference.params));
  return inference;
}

function replyOf(xhr, { address, inference }) {
  const text = () => {
    if (xhr.responseType === 'arraybuffer') return new TextDecoder().decode(xhr.response ?? new Uint8Array());
    return ['', 'text'].includes(xhr.responseType) ? xhr.responseText : '';
  };
  const isError = xhr.status === 0 || xhr.status >= 400;
  return {
    path: address.pathname,
    inference,
    status: xhr.status,
    error: isError ? sentenceOf(xhr.status, text()) : '',
    header: name => xhr.getResponseHeader(name),
    text,
  };
}
