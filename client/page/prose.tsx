/** A sentence of the schema's, whose code stands between backticks. */

export function Prose({ text }: { readonly text: string }) {
  const parts = text.split("`");
  // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text stay where they are.
  return <>{parts.map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}</>;
}
