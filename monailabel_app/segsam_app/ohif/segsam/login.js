/** The field for the server's token. */

import { element } from './elements.js';
import { rememberToken } from './requests.js';
import { takes } from './server.js';

/** Ask for the token until the server takes it, and remember it for this tab. */
export function askForToken() {
  const field = element('input', { type: 'password', name: 'token', autocomplete: 'off', required: true });
  const problem = element('p', { className: 'segsam-problem' });
  const form = element(
    'form',
    {},
    element('h2', {}, 'SEG-SAM'),
    element('p', {}, 'This server asks for its token. It is forgotten when you close this tab.'),
    field,
    problem,
    element('button', { type: 'submit' }, 'Log in')
  );
  const dialog = element('dialog', { className: 'segsam-login' }, form);
  dialog.addEventListener('cancel', event => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(resolve => {
    form.addEventListener('submit', async event => {
      event.preventDefault();
      problem.textContent = '';
      if (!(await takes(field.value.trim()))) {
        problem.textContent = 'The server does not take this token.';
        return;
      }
      rememberToken(field.value.trim());
      dialog.remove();
      resolve();
    });
  });
}
