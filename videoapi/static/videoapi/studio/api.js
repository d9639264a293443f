// Asks the server as any client does: with a key where it wants one, never with the login of the admin.
const KEY = "videoapi-key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)),
};

export class APIError extends Error {
  // `field` is what the server finds wrong, where it is one; `status` is 0 when it did not answer.
  constructor(status, message, field = null) {
    super(message);
    Object.assign(this, {status, field});
  }

  get wantsKey() {
    return this.status === 401;
  }
}

async function send(path, {method = "GET", body, headers = {}} = {}) {
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {method, headers, body: body && JSON.stringify(body), credentials: "omit"});
  } catch {
    throw new APIError(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const {error} = await answer.json().catch(() => ({}));
  throw new APIError(answer.status, error?.message ?? `The server answers ${answer.status}.`, error?.param);
}

const ask = async (...request) => (await send(...request)).json();

export const api = {
  models: async () => (await ask("/v1/models")).data,
  model: (name) => ask(`/v1/models/${name.split("/").map(encodeURIComponent).join("/")}`),
  generate: (body) => ask("/video", {method: "POST", body, headers: {Prefer: "respond-async"}}),
  list: (limit) => ask(`/video?limit=${limit}`),
  generation: (id) => ask(`/video/${id}`),
  preview: async (id) => (await send(`/video/${id}/preview`)).blob(),
  cancel: (id) => ask(`/video/${id}`, {method: "DELETE"}),
  remove: (id) => ask(`/v1/videos/${id}`, {method: "DELETE"}),
};
