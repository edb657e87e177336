/** How well a page's texts can be read: contrast as WCAG 2.2 defines it (§1.4.3). Runs in the page. */

/** Texts whose contrast to what is behind them is too small, as in `3.91 <p>: Hello`. */
export function faintTexts(): string[] {
  const rgb = (color: string): number[] => {
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    if (context === null) throw new Error("there is no canvas");
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color: readonly number[]): number => {
    const [red = 0, green = 0, blue = 0] = color.slice(0, 3).map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  /** The nearest background that hides what is behind it. */
  const behind = (element: Element | null): number[] => {
    if (element === null) return [255, 255, 255, 255];
    const color = rgb(getComputedStyle(element).backgroundColor);
    return color[3] === 255 ? color : behind(element.parentElement);
  };
  const faint: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent?.trim();
    if (!element || !text || !element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const inSvg = element instanceof SVGElement;
    const [one, other] = [luminance(rgb(inSvg ? style.fill : style.color)), luminance(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = 24 <= size || (18.66 <= size && 700 <= Number(style.fontWeight));
    if (contrast < (isLarge ? 3 : 4.5)) {
      faint.push(`${contrast.toFixed(2)} <${element.localName}>: ${text.slice(0, 40)}`);
    }
  }
  return faint;
}
