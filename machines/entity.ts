/**
 * The words the whole house is written in.
 *
 * A command asks; it may be refused and is never stored.
 * A fact happened; it is stored once and never refused.
 * An entity is a chart of facts plus a table that turns commands into facts.
 */
import type { AnyStateMachine, SnapshotFrom } from 'xstate'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** Only what survives the disk: a Date or a Map in a fact does not compile. */
export interface Message<Type extends string = string, Data extends Json = Json> {
  readonly type: Type
  /** Milliseconds since the epoch, stamped at the door. Nothing inside asks the time. */
  readonly at: number
  /** Who asked: a client's address, `cli`, or the reactor's name. Left out where the entity itself says it. */
  readonly by?: string
  readonly data: Data
}

export type Of<Union extends Message, Type extends string> = Extract<Union, { type: Type }>

/** What a decision says: the engine stamps `at` and `by` from the command, so that no row can forge them. */
export type Conclusion<Fact extends Message> = Fact extends Message
  ? { readonly type: Fact['type']; readonly data: Fact['data'] }
  : never

/** One row per command. A row reads the state and answers with conclusions, or throws a Refusal. */
export type Decide<State, Command extends Message, Fact extends Message> = {
  readonly [Type in Command['type']]: (
    state: State,
    command: Of<Command, Type>,
  ) => readonly Conclusion<Fact>[]
}

/** One row per fact it cares about. */
export type On<Fact extends Message, Self> = {
  readonly [Type in Fact['type']]?: (self: Self, fact: Of<Fact, Type> & Recorded) => void
}

/** What the journal adds to a fact when it writes it down. */
export interface Recorded {
  /** 1, 2, 3 … without a gap. */
  readonly seq: number
  readonly kind: string
  readonly id: string
  /** The version of the fact's shape; see upcasts.ts. */
  readonly v: number
  /** The chain's hash at this fact: SHA-256, base64url. */
  readonly hash: string
  /** Its data was forgotten, but for what it still says. */
  readonly forgotten?: Forgotten
}

export interface Forgotten {
  /** The id of the forgetting. */
  readonly by: string
  /** SHA-256 of the fact's number and of what is left, base64url. */
  readonly residue: string
}

/** A deadline is data in a state's meta: when it passes while the state lasts, the engine issues the command. */
export interface Deadline<Context, Command extends Message> {
  /** Milliseconds since the epoch, or undefined for never. */
  readonly at: (context: Context) => number | undefined
  readonly issue: Command['type']
}

export interface Entity<
  Machine extends AnyStateMachine = AnyStateMachine,
  Command extends Message = any,
  Fact extends Message = any,
> {
  readonly kind: string
  readonly machine: Machine
  readonly decide: Decide<SnapshotFrom<Machine>, Command, Fact>
}

export type FactOf<E> = E extends Entity<any, any, infer Fact> ? Fact : never
export type CommandOf<E> = E extends Entity<any, infer Command, any> ? Command : never

export function entity<M extends AnyStateMachine, C extends Message, F extends Message>(
  e: Entity<M, C, F>,
): Entity<M, C, F> {
  return e
}

/** A command that makes sense but cannot be granted now. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  /** `kind.reason`, listed in docs/errors.md. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
