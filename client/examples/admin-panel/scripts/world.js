/**
 * What happens at the made-up publishing house: visitors come and go, articles move on, people sign in. Every second
 * it says which events that makes. It knows nothing of where they go.
 */

import { CONTENT, PEOPLE } from "./newsroom.js";

/** @import { EmitEvent } from "tidings/emitter" */
/** @import { Person, Status } from "./newsroom.js" */

const POINTS = 60;
const PAGES = ["/tides", "/fees", "/blog/ropes", "/lighthouses", "/blog/pilots", "/contact"];
const CITIES = ["Hamburg", "Osaka", "Nantes", "Boston", "Chennai", "Bergen", "Durban", "Naples"];
const DEVICES = ["Phone", "Laptop", "Tablet"];
const SERVICES = ["Web", "Search", "Images", "Mail"];

/** Where an article goes next. @type {Record<Status, Status[]>} */
const NEXT = {
  draft: ["review"],
  review: ["scheduled", "published", "draft"],
  scheduled: ["published"],
  published: ["archived", "published"],
  archived: ["draft"],
};

export class World {
  #random;
  #seconds = 0;
  #visitors = 240;
  #pageViews = 18_400;
  #unique = 6_150;
  /** @type {{ at: string, value: number }[]} */
  #points = [];
  #content = CONTENT.map((content) => ({ ...content }));
  /** @type {Set<Person>} */
  #online = new Set();
  #made = CONTENT.length;

  /** @param {() => number} random Between 0 and 1. */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /**
   * What there is to see at once: the minutes before.
   *
   * @param {number} now
   * @returns {EmitEvent[]}
   */
  past(now) {
    const events = [];
    for (let second = POINTS; second > 0; second -= 1) {
      const at = new Date(now - second * 1000);
      this.#measure(at);
      if (second % 5 === 0) events.push({ ...this.#activity(at), time: at });
      if (second % 9 === 0) events.push({ ...this.#signInOrOut(at), time: at });
    }
    for (const metric of ["lcp", "inp", "ttfb"]) events.push(this.#performance(metric, new Date(now)));
    for (const service of SERVICES) events.push(this.#health(service, new Date(now)));
    return [...events, ...this.#numbers(new Date(now))];
  }

  /**
   * What happens in the next second.
   *
   * @param {number} now
   * @returns {EmitEvent[]}
   */
  second(now) {
    const at = new Date(now);
    const second = this.#seconds++;
    this.#measure(at);
    const events = this.#numbers(at);
    if (this.#chance(0.7)) events.push(this.#activity(at));
    if (second % 4 === 1) events.push(...this.#edit(at));
    if (second % 5 === 2) events.push(this.#signInOrOut(at));
    if (second % 3 === 0) events.push(this.#performance(this.#pick(["lcp", "inp", "ttfb"]), at));
    if (second % 2 === 0) events.push(this.#health(this.#pick(SERVICES), at));
    if (second % 40 === 20) events.push(this.#maintenance(now));
    if (second % 60 === 35) events.push(this.#backup(at));
    return events;
  }

  /** @param {Date} at */
  #measure(at) {
    this.#visitors = Math.round(Math.max(60, this.#visitors + (this.#random() - 0.48) * 24));
    this.#pageViews += Math.round(this.#visitors / 12);
    this.#unique += this.#chance(0.6) ? 2 : 0;
    this.#points = [...this.#points.slice(1 - POINTS), { at: at.toISOString(), value: this.#visitors }];
  }

  /** @param {Date} at @returns {EmitEvent[]} */
  #numbers(at) {
    const timestamp = at;
    const topPages = PAGES.slice(0, 5).map((path, rank) => ({
      path,
      views: Math.round(this.#pageViews / (rank + 3) - rank * 137),
    }));
    return [
      {
        type: "analytics.traffic_update",
        data: {
          period: "today",
          pageViews: this.#pageViews,
          uniqueVisitors: this.#unique,
          bounceRate: 0.38 + 0.02 * Math.sin(this.#seconds / 20),
          topPages,
          timestamp,
        },
      },
      {
        type: "analytics.chart_update",
        data: { chartId: "visitors", chartType: "line", period: "1m", dataPoints: this.#points, timestamp },
      },
    ];
  }

  /** @param {Date} at @returns {EmitEvent} */
  #activity(at) {
    const page = this.#pick(PAGES);
    const location = this.#pick(CITIES);
    const [eventType, message] = this.#pick([
      ["page_view", `Somebody in ${location} reads ${page}`],
      ["search", `A search for “${this.#pick(["tides", "knots", "fees", "ferries"])}” from ${location}`],
      ["download", `The tide table was downloaded in ${location}`],
      ["signup", `A new reader from ${location}`],
    ]);
    return {
      type: "analytics.new_activity",
      data: {
        activityId: this.#id("a"),
        eventType,
        message,
        location,
        device: this.#pick(DEVICES),
        timestamp: at,
      },
    };
  }

  /** @param {Date} at @returns {EmitEvent[]} */
  #edit(at) {
    if (this.#chance(0.12) && this.#content.length < 16) return [this.#create(at)];
    const content = this.#pick(this.#content);
    const oldStatus = content.status;
    const newStatus = this.#pick(NEXT[oldStatus]);
    const by = this.#pick(PEOPLE);
    const { id, title, type } = content;
    if (oldStatus === newStatus) {
      const data = { contentId: id, title, type, status: oldStatus, authorId: by.id, updatedAt: at };
      return [{ type: "content.updated", subject: id, data }];
    }
    content.status = newStatus;
    const data = { contentId: id, oldStatus, newStatus, title, changedBy: by.name, changedAt: at };
    return [{ type: "content.status_changed", subject: id, data }];
  }

  /** @param {Date} at @returns {EmitEvent} */
  #create(at) {
    const by = this.#pick(PEOPLE);
    const title = `${this.#pick(["Notes", "Letters", "Sketches"])} from ${this.#pick(CITIES)}`;
    this.#made += 1;
    const id = `c${this.#made}`;
    this.#content.push({
      id,
      title,
      type: "blog",
      status: "draft",
      author: by.id,
      changedAt: at.toISOString(),
    });
    return {
      type: "content.created",
      subject: id,
      data: { contentId: id, title, type: "blog", status: "draft", authorId: by.id, createdAt: at },
    };
  }

  /** @param {Date} at @returns {EmitEvent} */
  #signInOrOut(at) {
    const person = this.#pick(PEOPLE);
    const { id: userId, email, location } = person;
    const other = this.#random();
    if (other < 0.12) {
      const updatedFields = [this.#pick(["name", "photo", "time zone"])];
      return {
        type: "user.profile_updated",
        subject: userId,
        data: { userId, updatedFields, updatedAt: at },
      };
    }
    if (other < 0.18)
      return { type: "user.password_changed", subject: userId, data: { userId, changedAt: at } };
    const signsOut = this.#online.delete(person);
    if (!signsOut) this.#online.add(person);
    const data = { userId, email, location, timestamp: at };
    return { type: signsOut ? "user.logout" : "user.login", subject: userId, data };
  }

  /** @param {string} metric @param {Date} at @returns {EmitEvent} */
  #performance(metric, at) {
    const usual = { lcp: 1900, inp: 140, ttfb: 320 }[metric] ?? 100;
    const value = Math.round(usual * (0.85 + 0.3 * this.#random()));
    return {
      type: "analytics.performance_update",
      data: { metric, value, unit: "ms", page: "/", timestamp: at },
    };
  }

  /** @param {string} service @param {Date} at @returns {EmitEvent} */
  #health(service, at) {
    const slow = this.#chance(0.08);
    const latencyMs = Math.round((slow ? 900 : 40) * (1 + this.#random()));
    const status = slow ? "degraded" : "healthy";
    return {
      type: "system.health_check",
      source: `/harbor/${service}`,
      data: { service, status, latencyMs, timestamp: at },
    };
  }

  /** @param {number} now @returns {EmitEvent} */
  #maintenance(now) {
    return {
      type: "system.maintenance",
      data: {
        message: "Search will be read-only for a moment while its index moves.",
        startsAt: new Date(now + 10_000),
        endsAt: new Date(now + 30_000),
        affectedServices: ["Search"],
      },
    };
  }

  /** @param {Date} at @returns {EmitEvent} */
  #backup(at) {
    return {
      type: "settings.backup_created",
      data: { backupId: this.#id("b"), size: 48_000_000, createdBy: "nightly", createdAt: at },
    };
  }

  /** @param {number} share */
  #chance(share) {
    return this.#random() < share;
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  #pick(list) {
    return /** @type {T} */ (list[Math.floor(this.#random() * list.length)]);
  }

  /** @param {string} kind */
  #id(kind) {
    return `${kind}${Math.floor(this.#random() * 1e12).toString(36)}`;
  }
}
