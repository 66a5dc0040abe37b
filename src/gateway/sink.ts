/** Where the bytes of an answer go, whoever takes them: a client, several of them, or the spool. */

export interface Sink {
  /** Nobody takes anything any more. */
  readonly closed: boolean
  /** Tells of both until the function that it returns is called. */
  hear(ears: Ears): () => void
  /** Status, and headers as name, value, name, value … Throws where these cannot be written; then nothing was. */
  head(status: number, headers: readonly string[]): void
  /** False where nothing more should come until it has drained. */
  write(chunk: Buffer): boolean
  /** That was all of it. */
  end(): void
  /** It is not all, and never will be: last words, and no end. `tail` is how that ends which was written. */
  breakOff(words: string, tail: Buffer): void
}

export interface Ears {
  /** Nobody takes anything any more. */
  left(): void
  drained(): void
}
