// The inputs for a model's own options, from their JSON Schema.

const isNumber = (schema) => ["number", "integer"].includes(schema.type);
const asText = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function makeInput(schema) {
  const choices = schema.enum ?? (schema.type === "boolean" ? [true, false] : null);
  if (choices) {
    const select = document.createElement("select");
    const standard = schema.default === undefined ? "default" : `default (${asText(schema.default)})`;
    select.append(new Option(standard, ""), ...choices.map((each) => new Option(asText(each), JSON.stringify(each))));
    return select;
  }
  if (schema.type === "object" || schema.type === "array") {
    const area = document.createElement("textarea");
    area.rows = 2;
    area.placeholder = schema.default === undefined ? "JSON" : asText(schema.default);
    return area;
  }
  const input = document.createElement("input");
  if (isNumber(schema)) {
    Object.assign(input, {type: "number", step: schema.type === "integer" ? "1" : "any"});
    input.min = schema.minimum ?? schema.exclusiveMinimum ?? "";
    input.max = schema.maximum ?? schema.exclusiveMaximum ?? "";
  }
  input.placeholder = schema.default === undefined ? "" : asText(schema.default);
  return input;
}

export function buildParams(box, properties) {
  const labels = Object.entries(properties).map(([name, schema]) => {
    const label = document.createElement("label");
    const input = makeInput(schema);
    input.dataset.param = name;
    label.append(name, input);
    if (schema.description) {
      const hint = document.createElement("span");
      hint.className = "hint";
      hint.textContent = schema.description;
      label.append(hint);
    }
    return label;
  });
  box.replaceChildren(...labels);
}

// What is left empty is the model's own, and is not sent.
export function readParams(box, properties) {
  const params = {};
  for (const input of box.querySelectorAll("[data-param]")) {
    const text = input.value.trim();
    if (!text) continue;
    const {param} = input.dataset;
    const isPlain = input.tagName === "INPUT" && !isNumber(properties[param]);
    params[param] = isPlain ? text : parse(text);
  }
  return params;
}

export function fillParams(box, params) {
  for (const input of box.querySelectorAll("[data-param]")) {
    const value = params[input.dataset.param];
    const isPlain = typeof value === "string" && input.tagName === "INPUT";
    input.value = value === undefined ? "" : isPlain ? value : JSON.stringify(value);
  }
}

// What is no JSON goes as it is, and the server says what is wrong with it.
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
