"use client";

/** `tidings/react`: hooks for React 18 and 19. */

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
