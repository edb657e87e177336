/** The live page of a server (`GET /`): what it does at the moment, as one can see and touch it. */

import { createRoot } from "react-dom/client";
import { Api } from "./api.ts";
import { App } from "./app.tsx";
import { Session, takeToken } from "./session.ts";

const session = new Session(takeToken());
const api = new Api(() => session.get().token);

createRoot(document.getElementById("root") as HTMLElement).render(<App session={session} api={api} />);
