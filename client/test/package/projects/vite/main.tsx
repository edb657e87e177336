/** Shows the titles of content as it comes: what a front end that uses the package looks like. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { TidingsProvider, useContentEvents } from "tidings/react";

const query = new URLSearchParams(location.search);
const root = document.getElementById("root");

function Titles() {
  const { events } = useContentEvents({ types: ["content.published"], recent: 5 });
  return (
    <ul>
      {events.map((event) => (
        <li key={event.id}>{event.title}</li>
      ))}
    </ul>
  );
}

if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <TidingsProvider url={query.get("url") ?? ""} token={query.get("token") ?? ""}>
        <Titles />
      </TidingsProvider>
    </StrictMode>,
  );
}
