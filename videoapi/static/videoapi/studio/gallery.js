// The videos: each is a card that follows its generation.
import {api} from "./api.js";

const PAGE = 12, MAX_PAGE = 100;
const UNFINISHED = ["queued", "in_progress"];
// Milliseconds between two looks while something is being made, and while nothing is.
const BUSY = 1000, IDLE = 10_000;

const seconds = (value) => (value < 90 ? `${Math.ceil(value)} s` : `${Math.ceil(value / 60)} min`);

export class Gallery {
  // `reuse` is called with a generation's request; `trouble` with an error, or with null when the server answers again.
  constructor(element, {reuse, trouble}) {
    Object.assign(this, {element, reuse, trouble, limit: PAGE, cards: new Map()});
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    document.querySelector("#more").addEventListener("click", () => {
      this.limit = Math.min(this.limit + PAGE, MAX_PAGE);
      this.refresh();
    });
  }

  // Until the next refresh; what is still on its way counts no more.
  stop() {
    clearTimeout(this.timer);
    this.look = null;
  }

  // Looks now, and then again by itself.
  async refresh() {
    this.stop();
    const look = (this.look = {});
    let wait = IDLE;
    try {
      const page = await api.list(this.limit);
      const running = page.data.filter((each) => UNFINISHED.includes(each.status));
      await Promise.all(running.map((each) => this.lookCloser(each)));
      if (look !== this.look) return;
      this.show(page);
      this.trouble(null);
      if (running.length) wait = BUSY;
    } catch (error) {
      if (look !== this.look) return;
      this.trouble(error);
      if (error.wantsKey) return;
      if (!error.status) wait = BUSY;
    }
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), wait);
  }

  // What the list does not tell of one that runs.
  async lookCloser(generation) {
    // It may have been deleted meanwhile. There is no preview before the first step, and for some models never.
    const {queue_position, eta_seconds} = await api.generation(generation.id).catch(() => ({}));
    const preview = generation.phase === "denoising" ? await api.preview(generation.id).catch(() => null) : null;
    Object.assign(generation, {queue_position, eta_seconds, preview});
  }

  show({data, has_more: hasMore}) {
    const shown = new Map(data.map((each) => [each.id, this.cards.get(each.id) ?? new Card(each.id, this)]));
    for (const [id, card] of this.cards) shown.has(id) || card.element.remove();
    data.forEach((each, place) => {
      const {element} = shown.get(each.id);
      // One that stays where it is goes on playing.
      if (this.element.children[place] !== element) this.element.insertBefore(element, this.element.children[place]);
      shown.get(each.id).show(each);
    });
    this.cards = shown;
    document.querySelector("#empty").hidden = data.length > 0;
    document.querySelector("#more").hidden = !hasMore || this.limit >= MAX_PAGE;
  }
}

class Card {
  constructor(id, gallery) {
    Object.assign(this, {id, gallery});
    this.element = document.querySelector("#card").content.cloneNode(true).firstElementChild;
    this.on("cancel", () => api.cancel(id));
    this.on("delete", () => confirm("Delete this video?") && api.remove(id));
    this.on("reuse", async () => gallery.reuse((await api.generation(id)).request));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  action(name) {
    return this.find(`[data-action=${name}]`);
  }

  on(name, act) {
    this.action(name).addEventListener("click", async () => {
      try {
        await act();
        await this.gallery.refresh();
      } catch (error) {
        this.gallery.trouble(error);
      }
    });
  }

  show(generation) {
    const isRunning = UNFINISHED.includes(generation.status);
    const [file] = generation.data;
    Object.assign(this.find("progress"), {hidden: !isRunning, value: generation.progress});
    this.find(".status").textContent = describe(generation);
    this.element.dataset.status = generation.status;
    this.find(".prompt").textContent = generation.prompt;
    this.find(".facts").textContent =
      `${generation.model}, ${generation.width}x${generation.height}, ${generation.num_frames} frames at ` +
      `${generation.fps} fps, seed ${generation.seed}`;
    this.find(".warnings").replaceChildren(...generation.warnings.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
    this.action("cancel").hidden = !isRunning || generation.cancel_requested;
    this.action("delete").hidden = isRunning;
    this.action("download").hidden = !file;
    if (file) Object.assign(this.action("download"), {href: file.url, download: `${this.id}.mp4`});
    this.showScreen(file?.url, generation.preview);
  }

  // The video, once there is one: until then the newest preview.
  showScreen(url, preview) {
    const screen = this.find(".screen");
    const shown = screen.firstElementChild;
    if (url && shown?.tagName !== "VIDEO") {
      const video = document.createElement("video");
      Object.assign(video, {controls: true, loop: true, playsInline: true, preload: "metadata", src: url});
      screen.replaceChildren(video);
    } else if (!url && preview) {
      const image = new Image();
      image.alt = "A preview";
      image.src = URL.createObjectURL(preview);
      image.decode().then(() => this.find("video") || screen.replaceChildren(image), () => {})
        .finally(() => URL.revokeObjectURL(image.src));
    } else if (!url && !UNFINISHED.includes(this.element.dataset.status)) {
      screen.replaceChildren();
    }
  }
}

function describe(generation) {
  if (generation.error) return generation.error.message;
  if (generation.cancel_requested && UNFINISHED.includes(generation.status)) return "Being cancelled";
  if (generation.status === "queued") {
    return generation.queue_position ? `Number ${generation.queue_position} in the queue` : "Queued";
  }
  if (generation.status !== "in_progress") {
    const {total} = generation.timings;
    return generation.status === "completed" && total ? `Made in ${seconds(total)}` : generation.status;
  }
  const {phase, step, total_steps: steps, eta_seconds: left, detail} = generation;
  const words = [phase ?? "starting"];
  if (phase === "denoising" && steps) words.push(`step ${step} of ${steps}`);
  if (left) words.push(`about ${seconds(left)} left`);
  if (detail) words.push(detail);
  return words.join(", ");
}
