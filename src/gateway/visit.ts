/** One request of a client, as the table of routes hands it to whoever answers. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface Visit {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Who asks: the address of the connection, kept because the socket may be gone before the answer. */
  readonly by: string
  /** May this caller change things, and so use the house's own doors? */
  readonly trusted: () => boolean
  /** As the table has it: `/api/blobs/:param`. */
  readonly route: string
  /** Path and query for a node, with nothing a client could hide in them. */
  readonly target: string
  /** The changing part of the path, decoded; empty where there is none. */
  readonly param: string
  /** Empty where the body is streamed. */
  readonly body: Buffer
}
