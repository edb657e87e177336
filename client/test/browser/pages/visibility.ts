/** Writes down how the page was shown and hidden. */

const root = document.querySelector("#root") as HTMLElement;
const tell = () => {
  root.textContent += `${document.visibilityState} `;
};
document.addEventListener("visibilitychange", tell);
tell();
