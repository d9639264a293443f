// Brings the form, the videos and the key together.
import {api, key} from "./api.js";
import {RequestForm} from "./form.js";
import {Gallery} from "./gallery.js";

const MODEL = "videoapi-model";
const find = (selector) => document.querySelector(selector);
const FIELD_NAMES = {start_image: "the first frame", end_image: "the last frame", input_reference: "the clip"};

const form = new RequestForm(find("#request"));
const gallery = new Gallery(find("#videos"), {reuse, trouble: showTrouble});
const [select, message, dialog] = [form.fields.model, find("#message"), find("#key-dialog")];

function showTrouble(error) {
  find("#trouble").textContent = error?.message ?? "";
  if (error?.wantsKey && !dialog.open) askForKey();
}

function askForKey() {
  dialog.querySelector("input").value = key.get();
  dialog.showModal();
}

async function start() {
  gallery.stop();
  try {
    const models = await api.models();
    const options = models.map((model) => new Option(model.available ? model.id : `${model.id} (unavailable)`, model.id));
    select.replaceChildren(...options);
    const last = localStorage.getItem(MODEL);
    if (models.some((model) => model.id === last)) select.value = last;
    if (models.length) await showModel();
    else message.textContent = "No model is installed; 'manage.py plugins' says why.";
    gallery.refresh();
  } catch (error) {
    showTrouble(error);
  }
}

async function showModel() {
  const name = select.value;
  form.element.ariaBusy = "true";
  try {
    const model = await api.model(name);
    // Another may have been chosen while this one was asked for.
    if (select.value === name) form.show(model);
  } finally {
    if (select.value === name) form.element.ariaBusy = "false";
  }
}

async function reuse(request) {
  select.value = request.model;
  if (!select.value) {
    select.selectedIndex = 0;
    message.textContent = `The model '${request.model}' is not installed any more.`;
    return;
  }
  await showModel();
  const files = form.fill(request).map((name) => FIELD_NAMES[name]);
  message.textContent = files.length ? `Choose ${files.join(" and ")} again: files are not kept.` : "";
  form.element.scrollIntoView({behavior: "smooth"});
  form.fields.prompt.focus({preventScroll: true});
}

select.addEventListener("change", () => {
  localStorage.setItem(MODEL, select.value);
  showModel().catch(showTrouble);
});

form.element.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.element.querySelector("[type=submit]");
  button.disabled = true;
  message.textContent = "";
  try {
    // What the chosen one takes may not be there yet.
    while (form.model?.id !== select.value) await showModel();
    await api.generate(await form.read());
    gallery.refresh();
  } catch (error) {
    if (error.wantsKey) askForKey();
    if (!form.complain(error.message, error.field)) message.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});

find("#key-button").addEventListener("click", askForKey);
dialog.addEventListener("close", () => {
  if (dialog.returnValue !== "use") return;
  key.set(dialog.querySelector("input").value.trim());
  start();
});

start();
