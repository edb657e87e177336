/** The newest events of a category: a hook for each of the six. */

import type { Category, EventType } from "../types.ts";
import { type EventsOptions, type EventsResult, useEvents } from "./use-events.ts";

type KnownType<C extends Category> = Extract<EventType, `${C}.${string}`>;

/** A type of a category; a text of that form may name one that the server's configuration adds. */
export type CategoryType<C extends Category> = KnownType<C> | (`${C}.${string}` & {});

export interface CategoryOptions<C extends Category, P extends CategoryType<C>> extends EventsOptions<P> {
  /** Only these types of the category; without it all. */
  readonly types?: readonly P[] | undefined;
}

/** Visitors: activities, traffic, performance, charts. */
export function useAnalyticsEvents<const P extends CategoryType<"analytics"> = KnownType<"analytics">>(
  options: CategoryOptions<"analytics", P> = {},
): EventsResult<P> {
  return useEvents(options.types ?? ("analytics.*" as P), options);
}

/** Pages, posts and the like: created, changed, published, deleted. */
export function useContentEvents<const P extends CategoryType<"content"> = KnownType<"content">>(
  options: CategoryOptions<"content", P> = {},
): EventsResult<P> {
  return useEvents(options.types ?? ("content.*" as P), options);
}

/** Users: who signs in and out, registers, changes. */
export function useUserEvents<const P extends CategoryType<"user"> = KnownType<"user">>(
  options: CategoryOptions<"user", P> = {},
): EventsResult<P> {
  return useEvents(options.types ?? ("user.*" as P), options);
}

/** Settings that change, and backups. */
export function useSettingsEvents<const P extends CategoryType<"settings"> = KnownType<"settings">>(
  options: CategoryOptions<"settings", P> = {},
): EventsResult<P> {
  return useEvents(options.types ?? ("settings.*" as P), options);
}

/** Projects: created, changed, deleted. */
export function useProjectEvents<const P extends CategoryType<"project"> = KnownType<"project">>(
  options: CategoryOptions<"project", P> = {},
): EventsResult<P> {
  return useEvents(options.types ?? ("project.*" as P), options);
}

/** The system's health, errors and maintenance. */
export function useSystemEvents<const P extends CategoryType<"system"> = KnownType<"system">>(
  options: CategoryOptions<"system", P> = {},
): EventsResult<P> {
  return useEvents(options.types ?? ("system.*" as P), options);
}
