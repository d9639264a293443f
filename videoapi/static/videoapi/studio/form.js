// The form of a request, built from what `GET /v1/models/{name}` says of the model.
import {buildParams, fillParams, readParams} from "./params.js";

const NUMBERS = ["width", "height", "num_frames", "fps", "step", "cfg_scale", "seed", "n"];
const FILES = ["start_image", "end_image", "input_reference"];

export class RequestForm {
  constructor(element) {
    this.element = element;
    this.fields = element.elements;
    this.params = element.querySelector("#params > div");
    for (const name of ["num_frames", "fps"]) {
      this.fields[name].addEventListener("input", () => this.showDuration());
    }
    for (const name of FILES) this.fields[name].addEventListener("change", () => this.showFile(name));
    element.addEventListener("input", () => this.forgive());
  }

  // Everything that was written stays; what the model does not take is hidden and disabled, and not sent.
  show(model) {
    this.model = model;
    const {defaults, limits, modes} = model;
    this.element.querySelector("#description").textContent = model.available ? model.description : model.reason;
    const taken = {
      start_image: modes.includes("first_frame") || modes.includes("first_and_last_frame"),
      end_image: modes.includes("first_and_last_frame"),
      input_reference: modes.includes("clip"),
    };
    for (const field of this.fields) {
      if (!field.name) continue;
      field.disabled = model.unsupported.includes(field.name) || taken[field.name] === false;
      field.closest("label").hidden = field.disabled;
    }
    this.element.querySelector("#files").hidden = FILES.every((name) => !taken[name]);
    for (const name of FILES) {
      const formats = model.inputs[name === "input_reference" ? "clip" : "image"]?.formats ?? [];
      this.fields[name].accept = formats.map((each) => `.${each}`).join().replace(".jpeg", ".jpg,.jpeg");
    }
    for (const name of NUMBERS) {
      if (name in defaults) this.fields[name].placeholder = defaults[name];
    }
    this.fields.negative_prompt.placeholder = defaults.negative_prompt ?? "";
    for (const name of ["width", "height"]) {
      Object.assign(this.fields[name], {min: model.size_multiple, step: model.size_multiple, max: limits.max_side});
    }
    // Larger ones are no numbers here.
    this.fields.seed.max = Math.min(limits.max_seed, Number.MAX_SAFE_INTEGER);
    for (const [name, limit] of Object.entries({
      num_frames: "max_frames", fps: "max_fps", step: "max_step", cfg_scale: "max_cfg_scale",
    })) this.fields[name].max = limits[limit];
    this.showSizes();
    this.showDuration();
    buildParams(this.params, model.params.properties);
    this.params.parentElement.hidden = !this.params.children.length;
  }

  showSizes() {
    const {defaults, native_sizes: natives, unsupported} = this.model;
    const own = defaults.width && defaults.height ? [`${defaults.width}x${defaults.height}`] : [];
    const sizes = unsupported.includes("width") ? [] : [...new Set([...own, ...natives])];
    const chips = sizes.map((size) => {
      const chip = document.createElement("button");
      Object.assign(chip, {type: "button", textContent: size});
      chip.addEventListener("click", () => {
        [this.fields.width.value, this.fields.height.value] = size.split("x");
        this.forgive();
      });
      return chip;
    });
    this.element.querySelector("#sizes").replaceChildren(...(sizes.length > 1 ? chips : []));
  }

  showDuration() {
    const {num_frames: frames, fps} = this.fields;
    const seconds = (frames.value || frames.placeholder) / (fps.value || fps.placeholder);
    const text = Number.isFinite(seconds) ? `${+seconds.toFixed(2)} seconds` : "";
    this.element.querySelector("#duration").textContent = text;
  }

  showFile(name) {
    const [file] = this.fields[name].files;
    const image = this.fields[name].parentElement.querySelector("img");
    if (!image) return;
    URL.revokeObjectURL(image.src);
    image.hidden = !file;
    if (file) image.src = URL.createObjectURL(file);
  }

  // The body of `POST /video`: what is left empty is the model's own.
  async read() {
    const body = {model: this.model.id, prompt: this.fields.prompt.value};
    for (const name of ["negative_prompt", ...NUMBERS, ...FILES]) {
      const field = this.fields[name];
      if (!field.value || field.disabled) continue;
      if (FILES.includes(name)) body[name] = await readFile(field.files[0]);
      else body[name] = NUMBERS.includes(name) ? Number(field.value) : field.value;
    }
    const params = readParams(this.params, this.model.params.properties);
    return Object.keys(params).length ? {...body, params} : body;
  }

  // The same request again. Returns which of its files have to be chosen again, for they are not kept.
  fill(request) {
    this.forgive();
    for (const name of ["prompt", "negative_prompt", ...NUMBERS]) this.fields[name].value = request[name] ?? "";
    for (const name of FILES) {
      this.fields[name].value = "";
      this.showFile(name);
    }
    fillParams(this.params, request.params ?? {});
    this.showDuration();
    return FILES.filter((name) => name in request);
  }

  // Says at the field what is wrong. Returns false where there is no such field.
  complain(message, name) {
    const field = name === "size" ? this.fields.width : this.fields[name] ?? this.findParam(name);
    if (!field?.setCustomValidity || field.disabled) return false;
    field.closest("details")?.setAttribute("open", "");
    field.setCustomValidity(message);
    field.reportValidity();
    return true;
  }

  findParam(name) {
    const [, key] = name?.split(".") ?? [];
    return [...this.params.querySelectorAll("[data-param]")].find((each) => each.dataset.param === key);
  }

  forgive() {
    for (const field of this.fields) field.setCustomValidity?.("");
  }
}

function readFile(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}
