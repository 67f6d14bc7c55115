// Refreshes what is on the screen: now, and then at an interval while the tab can be seen.

export type Poll = { stop: () => void; now: () => void };

/** `load` runs one at a time; `show` gets its answer, `fail` its error. */
export function poll<T>(everyMs: number, load: () => Promise<T>, show: (value: T) => void, fail: (error: unknown) => void): Poll {
  let timer = 0;
  let stopped = false;
  let running = false;
  const turn = async (): Promise<void> => {
    if (running || stopped) return;
    running = true;
    clearTimeout(timer);
    try {
      const value = await load();
      if (!stopped) show(value);
    } catch (error) {
      if (!stopped) fail(error);
    }
    running = false;
    if (!stopped && !document.hidden) timer = window.setTimeout(turn, everyMs);
  };
  const visible = (): void => {
    if (!document.hidden) void turn();
  };
  document.addEventListener("visibilitychange", visible);
  void turn();
  return {
    now: () => void turn(),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}
