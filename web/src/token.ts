// The bearer token of this tab: kept in sessionStorage, asked for when the API answers 401.
import { h } from "./dom";

const STORED = "millstream.token";
export const storedToken = (): string | null => sessionStorage.getItem(STORED);

let asking: Promise<void> | null = null;

/** Resolves once there is a token other than the one that was refused; many requests share one dialog. */
export function askForToken(refused: string | null): Promise<void> {
  if (storedToken() !== refused) return Promise.resolve();
  asking ??= dialog(refused !== null).finally(() => (asking = null));
  return asking;
}

function dialog(wasRefused: boolean): Promise<void> {
  return new Promise((resolve) => {
    const input = h("input", { attrs: { type: "password", name: "token", autocomplete: "off", required: "", "aria-label": "Token" } });
    const form = h("form", { class: "stack", attrs: { method: "dialog" } },
      h("h2", { text: "Token needed" }),
      h("p", { class: "muted", text: wasRefused ? "That token was not accepted. Try another." : "This service asks for a bearer token. It is kept in this tab only." }),
      input,
      h("button", { class: "button primary", text: "Continue", attrs: { type: "submit" } }),
    );
    const box = h("dialog", { testid: "token-dialog" }, form);
    box.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", () => {
      sessionStorage.setItem(STORED, input.value.trim());
      box.remove();
      resolve();
    });
    document.body.append(box);
    box.showModal();
  });
}
