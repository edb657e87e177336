/** The frame around every page: navigation, connection, and what concerns everybody. */

import { type ReactElement, useEffect, useRef, useSyncExternalStore } from "react";
import { useConnectionStatus, useSettingsEvents } from "tidings/react";
import type { Session } from "./api.ts";
import { ContentPage } from "./pages/ContentPage.tsx";
import { DashboardPage } from "./pages/DashboardPage.tsx";
import { SettingsPage } from "./pages/SettingsPage.tsx";
import { UsersPage } from "./pages/UsersPage.tsx";
import { ConnectionBadge } from "./parts/ConnectionBadge.tsx";
import { Icon, type IconName } from "./parts/Icon.tsx";
import { MaintenanceBanner } from "./parts/MaintenanceBanner.tsx";
import { SignIn } from "./SignIn.tsx";

interface Route {
  readonly path: string;
  readonly title: string;
  readonly icon: IconName;
  readonly page: () => ReactElement;
}

const DASHBOARD: Route = { path: "#/", title: "Dashboard", icon: "chart", page: DashboardPage };
const ROUTES: readonly Route[] = [
  DASHBOARD,
  { path: "#/content", title: "Content", icon: "pages", page: ContentPage },
  { path: "#/users", title: "Users", icon: "people", page: UsersPage },
  { path: "#/settings", title: "Settings", icon: "sliders", page: SettingsPage },
];

interface PanelProps {
  readonly missed: number;
  readonly onSignedIn: (session: Session) => void;
}

export function Panel({ missed, onSignedIn }: PanelProps) {
  const { status } = useConnectionStatus();
  const route = useRoute();
  const heading = useRef<HTMLHeadingElement>(null);
  useTheme();
  useEffect(() => {
    document.title = `${route.title} · Harbor`;
  }, [route]);

  if (status === "unauthorized") {
    const reason = "The server does not accept this token any more. Was it started anew?";
    return <SignIn reason={reason} onSignedIn={onSignedIn} />;
  }
  const Page = route.page;
  return (
    <div className="panel">
      <button type="button" className="skip" onClick={() => heading.current?.focus()}>
        Skip to content
      </button>
      <header className="side">
        <p className="brand">
          <Icon name="anchor" /> Harbor
        </p>
        <nav aria-label="Pages">
          {ROUTES.map(({ path, title, icon }) => (
            <a key={path} href={path} aria-current={path === route.path ? "page" : undefined}>
              <Icon name={icon} />
              {title}
            </a>
          ))}
        </nav>
        <ConnectionBadge />
      </header>
      <main>
        <div>
          <MaintenanceBanner />
          <h1 ref={heading} tabIndex={-1}>
            {route.title}
          </h1>
        </div>
        {/* Where events are gone for good, a page begins anew with what there is. */}
        <Page key={`${route.path} ${missed}`} />
      </main>
    </div>
  );
}

/** The page that the address names. */
function useRoute(): Route {
  const hash = useSyncExternalStore(onHashChange, () => location.hash);
  return ROUTES.find(({ path }) => path === hash) ?? DASHBOARD;
}

function onHashChange(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

/** The theme is a setting like others: whoever changes it changes it for everybody at once. */
function useTheme(): void {
  const { lastEvent } = useSettingsEvents({
    types: ["settings.updated"],
    filter: { settingKey: "theme" },
    recent: 1,
    limit: 1,
  });
  const theme = lastEvent?.newValue;
  useEffect(() => {
    document.documentElement.dataset.theme = theme === "light" || theme === "dark" ? theme : "system";
  }, [theme]);
}
