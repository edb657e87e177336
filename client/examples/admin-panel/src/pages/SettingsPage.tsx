/** One setting at a time: its subscription has a filter, so the page hears of no other. */

import { type FormEvent, useId, useState } from "react";
import { useSettingsEvents } from "tidings/react";
import { post } from "../api.ts";
import { Time } from "../parts/Time.tsx";

interface Setting {
  readonly name: string;
  readonly values: readonly string[];
}

/** The first value is what a setting has before anybody has changed it. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  theme: { name: "Theme of this panel", values: ["system", "light", "dark"] },
  postsPerPage: { name: "Posts on a page", values: ["10", "20", "50"] },
  comments: { name: "Comments", values: ["moderated", "open", "closed"] },
};

export function SettingsPage() {
  const [settingKey, setSettingKey] = useState("theme");
  const setting = SETTINGS[settingKey] as Setting;
  return (
    <div className="columns">
      <section className="card">
        <fieldset className="choice">
          <legend className="unseen">Setting</legend>
          {Object.entries(SETTINGS).map(([key, { name }]) => (
            <label key={key}>
              <input
                type="radio"
                name="setting"
                checked={key === settingKey}
                onChange={() => setSettingKey(key)}
              />
              {name}
            </label>
          ))}
        </fieldset>
        <OneSetting key={settingKey} settingKey={settingKey} setting={setting} />
      </section>
      <Backups />
    </div>
  );
}

function OneSetting({ settingKey, setting }: { settingKey: string; setting: Setting }) {
  const { events, lastEvent, error } = useSettingsEvents({
    types: ["settings.updated"],
    filter: { settingKey },
    recent: 10,
    limit: 10,
  });
  const [fault, setFault] = useState<string>();
  const id = useId();
  const current = String(lastEvent?.newValue ?? setting.values[0]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const value = new FormData(event.currentTarget).get("value");
    post("/settings", { key: settingKey, value }).then(
      () => setFault(undefined),
      (refused) => setFault(String(refused.message)),
    );
  };
  return (
    <>
      {/* Another key for another value, so that the field shows what somebody else has chosen. */}
      <form key={current} className="setting" onSubmit={submit}>
        <label htmlFor={id}>{setting.name}</label>
        <select id={id} name="value" defaultValue={current}>
          {setting.values.map((value) => (
            <option key={value}>{value}</option>
          ))}
        </select>
        <button type="submit" className="primary">
          Save for everybody
        </button>
      </form>
      <p className="fault" role="alert">
        {fault ?? error?.message}
      </p>
      <h2>Changes</h2>
      <ul className="feed">
        {events.map(({ id, newValue, updatedBy, updatedAt }) => (
          <li key={id}>
            <span>
              <b>{String(newValue)}</b> by {updatedBy}
            </span>
            <small>
              <Time at={updatedAt} />
            </small>
          </li>
        ))}
      </ul>
      {events.length === 0 && <p className="empty">Nobody has changed it yet.</p>}
    </>
  );
}

function Backups() {
  const { events } = useSettingsEvents({ types: ["settings.backup_created"], recent: 5, limit: 5 });
  return (
    <section className="card">
      <h2>Backups</h2>
      <ul className="rows">
        {events.map(({ id, backupId, createdAt }) => (
          <li key={id}>
            <span>{backupId}</span>
            <small>
              <Time at={createdAt} />
            </small>
          </li>
        ))}
      </ul>
      {events.length === 0 && <p className="empty">None yet.</p>}
    </section>
  );
}
