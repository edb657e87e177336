/**
 * Stands in the page's build for what shares a socket between tabs, which is a script of its own: the page is one
 * file, and each has its own socket, since it is its own reading that it shows.
 */

export class Sharing {
  constructor() {
    throw new Error("this build shares no socket");
  }
}
