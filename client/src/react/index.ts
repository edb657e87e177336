"use client";

/**
 * `tidings/react`: live events in components of React 18 and 19.
 *
 * ```tsx
 * <TidingsProvider getToken={() => fetch("/token").then((answer) => answer.text())}>
 *   <Feed />
 * </TidingsProvider>;
 *
 * function Feed() {
 *   const { events, isConnected } = useContentEvents({ filter: { type: "blog" }, recent: 20 });
 *   return <ul>{events.map((event) => <li key={event.id}>{event.title}</li>)}</ul>;
 * }
 * ```
 *
 * A component is rendered at most once a frame, and only for events that it asked for.
 */

export type { HookEvent } from "./hook-event.ts";
export type { ConnectionOptions, TidingsProviderProps } from "./provider.tsx";
export { TidingsProvider } from "./provider.tsx";
export type { CategoryOptions, CategoryType } from "./use-category.ts";
export {
  useAnalyticsEvents,
  useContentEvents,
  useProjectEvents,
  useSettingsEvents,
  useSystemEvents,
  useUserEvents,
} from "./use-category.ts";
export type { EventsOptions, EventsResult } from "./use-events.ts";
export { useEvents } from "./use-events.ts";
export type { ConnectionStatus } from "./use-status.ts";
export { useConnectionStatus } from "./use-status.ts";
export type { SubscriptionRequest, WebSocketOptions, WebSocketResult } from "./use-websocket.ts";
export { useWebSocket } from "./use-websocket.ts";
