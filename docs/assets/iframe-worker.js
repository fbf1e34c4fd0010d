// Browsers start no Worker on a page that is opened as a file. There the search runs in a hidden frame instead, which
// has the two functions of a Worker that it uses.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.waiting = [];
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      document.body.appendChild(this.frame);
      const page = this.frame.contentDocument;
      page.open();
      page.write(
        "<!doctype html><script>" +
          "var importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((done, fail) => {" +
          "  const script = document.createElement('script');" +
          "  script.src = url; script.onload = done; script.onerror = fail; document.head.appendChild(script); })));" +
          "var postMessage = (data) => parent.postMessage(data, '*');" +
          "</" + "script><script src=\"" + new URL(url, location.href) + "\"></" + "script>"
      );
      page.close();
      this.frame.addEventListener("load", () => {
        this.loaded = true;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      });
    }

    postMessage(data) {
      if (!this.loaded) this.waiting.push(data);
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data, source: window }));
    }

    terminate() {
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
