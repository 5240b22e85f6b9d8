// The connection to the session of this tab. It is opened again when it breaks; the session keeps what was trained.
import { decode } from "./message.js";

const REASONS = {
  4401: "This address is no longer valid: open the one that the command printed last.",
  4402: "This training is shown in another tab. Load this page again to bring it back here.",
  4403: "Too many pages are open: close one, and load this page again.",
  4404: "The process that trained has ended. A new one begins when you load this page again.",
};

const HELD = "This link holds an experiment. Open it on the command line:";

export class Connection {
  constructor(onMessage, onNote) {
    this.onMessage = onMessage;
    this.onNote = onNote;
    const given = new URLSearchParams(location.hash.slice(1));
    if (given.has("token") && given.get("token") !== sessionStorage.getItem("token")) { // another server
      sessionStorage.clear();
      sessionStorage.setItem("token", given.get("token"));
    }
    this.token = sessionStorage.getItem("token") ?? "";
    this.held = given.has("experiment") ? `${location.origin}/#experiment=${given.get("experiment")}` : null;
    this.wait = 500;
    this.open();
  }

  open() {
    const query = new URLSearchParams({ token: this.token, session: sessionStorage.getItem("session") ?? "" });
    this.socket = new WebSocket(`ws://${location.host}/session?${query}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const known = sessionStorage.getItem("session");
        const { session } = JSON.parse(data);
        sessionStorage.setItem("session", session);
        this.wait = 500;
        this.onMessage({ kind: "connected", fresh: known !== session });
        return;
      }
      this.onMessage(decode(data));
    };
    this.socket.onclose = ({ code }) => {
      if (code === 4404) sessionStorage.removeItem("session");
      const reason = code === 4401 && this.held ? `${HELD} mytorch playground '${this.held}'` : REASONS[code];
      this.onNote(reason ?? "The connection is lost; it is tried again.");
      if (code in REASONS) return;
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(8000, this.wait * 2);
    };
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(command) {
    if (this.isOpen) this.socket.send(JSON.stringify(command));
  }
}
