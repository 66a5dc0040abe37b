/** What one end of a line shows the other, and whom it believes. It is renewed while lines are up. */

/** PEM, all of it. */
export interface Identity {
  readonly key: string
  readonly certificate: string
  /** The house's authority, that has signed it, and whoever else is believed. */
  readonly authority: string
}

export class Papers {
  #present: Identity
  readonly #heard = new Set<(identity: Identity) => void>()

  constructor(identity: Identity) {
    this.#present = identity
  }

  get present(): Identity {
    return this.#present
  }

  /** For lines that begin from now on. */
  replace(identity: Identity): void {
    this.#present = identity
    for (const heard of this.#heard) heard(identity)
  }

  /** Answers with how to stop that. */
  listen(heard: (identity: Identity) => void): () => void {
    this.#heard.add(heard)
    return () => void this.#heard.delete(heard)
  }
}
