// What somebody has solved, and what was typed: kept by the browser, on this machine, for all of its tabs.
const KEY = "mytorch exercises";

export class Progress {
  // changed: is called when another tab has written.
  constructor(changed = () => {}) {
    this.kept = {};
    this.read();
    addEventListener("storage", ({ key }) => {
      if (key !== KEY) return;
      this.read();
      changed();
    });
  }

  of(name) {
    return { solved: false, hints: 0, shown: false, text: "", way: "type", ...this.kept[name] };
  }

  set(name, changes) {
    this.read(); // another tab may have written since
    this.kept[name] = { ...this.of(name), ...changes };
    this.write();
  }

  forget() {
    this.kept = {};
    this.write();
  }

  read() {
    try {
      const read = JSON.parse(localStorage.getItem(KEY));
      if (read && typeof read === "object" && !Array.isArray(read)) this.kept = read;
    } catch {
      // nothing that can be read, or a browser that keeps nothing: what this page knows stays
    }
  }

  write() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // a browser that keeps nothing: it is there until the page is closed
    }
  }
}
