// What somebody has solved, and what was typed: kept by the browser, on this machine.
const KEY = "mytorch exercises";

export class Progress {
  constructor() {
    this.kept = {};
    try {
      const read = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      if (read && typeof read === "object" && !Array.isArray(read)) this.kept = read;
    } catch {
      // nothing that can be read, or a browser that keeps nothing: it begins anew
    }
  }

  of(name) {
    return { solved: false, hints: 0, shown: false, text: "", way: "type", ...this.kept[name] };
  }

  set(name, changes) {
    this.kept[name] = { ...this.of(name), ...changes };
    this.write();
  }

  forget() {
    this.kept = {};
    this.write();
  }

  write() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // a browser that keeps nothing: it is there until the page is closed
    }
  }
}
