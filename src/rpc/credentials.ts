/**
 * How the two ends of a line know each other. Plaintext knows nobody: it is for one machine, and for trying things out.
 */
import {
  ChannelCredentials,
  type ChannelOptions,
  ServerCredentials,
  type ServerUnaryCall,
} from '@grpc/grpc-js'

export type { ServerCredentials }

/** How to dial: the credentials, and what the channel must know for them. */
export interface Dialling {
  readonly credentials: ChannelCredentials
  readonly options: ChannelOptions
}

/** Any call of grpc-js on a server, as far as it says who calls. */
export type Calling = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'getPeer'>

export const plaintext = {
  serving: (): ServerCredentials => ServerCredentials.createInsecure(),
  dialling: (): Dialling => ({ credentials: ChannelCredentials.createInsecure(), options: {} }),
}
