/**
 * What passes between a house and its agents, as proto/quipu/v1/agent.proto has it and proto-loader reads it. What is
 * `optional` there, and could not be read, is left out: unknown is never 0.
 */
import type { Step } from '../ollama/progress.ts'

// ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Part by part. Times in milliseconds since the epoch, sizes in bytes, shares from 0 to 1. */
export interface NodeStatus {
  readonly at: number
  readonly identity?: AgentIdentity
  readonly equipment?: Equipment
  readonly load?: Load
  readonly limits?: OllamaLimits
  readonly present?: { readonly models: readonly ModelPresent[] }
  readonly resident?: { readonly models: readonly ModelResident[] }
}

export interface AgentIdentity {
  readonly node: string
  readonly agentVersion: string
  /** Empty while Ollama does not answer. */
  readonly ollamaVersion: string
  readonly ollamaUrl: string
  readonly startedAt: number
}

export interface Equipment {
  readonly os?: {
    readonly platform: string
    readonly name: string
    readonly kernel: string
    readonly arch: string
  }
  readonly cpu?: { readonly model: string; readonly cores?: number }
  readonly memoryBytes?: number
  readonly gpus: readonly Gpu[]
  /** Whether all that there may be were looked for. */
  readonly gpusKnown: boolean
  /** The volume that the models are on. */
  readonly disk?: {
    readonly mount: string
    readonly fileSystem: string
    readonly type?: string
    readonly sizeBytes?: number
  }
  readonly container: boolean
}

export interface Gpu {
  readonly id: string
  readonly vendor: string
  readonly model: string
  readonly memoryBytes?: number
  /** It shares the machine's memory. */
  readonly unified: boolean
  readonly driver: string
}

export interface Load {
  readonly uptimeS?: number
  readonly cores: readonly number[]
  readonly cpu?: number
  readonly memoryFreeBytes?: number
  readonly swapTotalBytes?: number
  readonly swapUsedBytes?: number
  readonly gpus: readonly GpuLoad[]
  readonly diskFreeBytes?: number
  readonly receivedBytesPerS?: number
  readonly sentBytesPerS?: number
  readonly inFlight: number
}

export interface GpuLoad {
  readonly id: string
  readonly utilisation?: number
  readonly memoryUsedBytes?: number
  readonly temperatureC?: number
  readonly powerW?: number
  readonly powerLimitW?: number
  readonly throttled?: boolean
}

export interface OllamaLimits {
  readonly numParallel?: number
  readonly maxLoadedModels?: number
  readonly maxQueue?: number
  readonly keepAlive?: string
  readonly contextLength?: number
}

export interface ModelPresent {
  readonly name: string
  readonly digest: string
  readonly sizeBytes: number
  /** Where the agent may read the models folder. */
  readonly blobs: readonly {
    readonly digest: string
    readonly sizeBytes: number
    readonly mediaType: string
    readonly present: boolean
  }[]
}

export interface ModelResident {
  readonly name: string
  readonly sizeBytes: number
  readonly vramBytes: number
  readonly contextLength: number
  /** 0 for never. */
  readonly expiresAt: number
}

// ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Exactly one of them. */
export type ModelCommand =
  | { readonly pull: { readonly model: string; readonly insecure: boolean } }
  | { readonly push: { readonly model: string; readonly insecure: boolean } }
  | { readonly delete: { readonly model: string } }
  | { readonly copy: { readonly source: string; readonly destination: string } }
  | { readonly create: { readonly model: string; readonly recipe: string } }
  | { readonly load: { readonly model: string; readonly keepAlive: string; readonly options: string } }
  | { readonly unload: { readonly model: string } }

export type ModelCommandRequest = ModelCommand & { readonly id: string }

export type CommandStep = Step

export interface CommandEnd {
  readonly outcome: 'OUTCOME_DONE' | 'OUTCOME_FAILED' | 'OUTCOME_CANCELLED'
  /** Of a failure: what Ollama answered, 502 where it did not; and its words. */
  readonly httpStatus: number
  readonly reason: string
  readonly ms: number
}

export type CommandProgress = { readonly step: CommandStep } | { readonly end: CommandEnd }

// ── attaching ────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Hello {
  readonly session: string
  readonly agentVersion: string
  readonly startedAt: number
  readonly slots?: number
  readonly residentMax?: number
  readonly labels: Readonly<Record<string, string>>
  readonly node: string
}

export interface IssuedCertificate {
  readonly node: string
  /** PEM, both. */
  readonly certificate: string
  readonly authority: string
  readonly expiresAt: number
}

// ── relay ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** As it was written; values as Latin-1. */
export interface Header {
  readonly name: string
  readonly value: string
}

export interface RequestHead {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: readonly Header[]
  /** `data` and `end` follow. */
  readonly body: boolean
}

export type RelayRequest =
  | { readonly head: RequestHead }
  | { readonly data: Buffer }
  | { readonly end: boolean }

export interface ResponseHead {
  readonly status: number
  readonly headers: readonly Header[]
}

export type RelayResponse =
  | { readonly head: ResponseHead }
  | { readonly data: Buffer }
  | { readonly end: boolean }
  | { readonly failure: { readonly refused: boolean; readonly reason: string } }

// ── one stream of Attach ─────────────────────────────────────────────────────────────────────────────────────────

/** From the agent. */
export type AttachRequest =
  | { readonly hello: Hello }
  | { readonly status: { readonly status: NodeStatus } }
  | { readonly watch: { readonly status: NodeStatus } }
  | { readonly command: CommandProgress }
  | { readonly cancel: { readonly cancelled: boolean } }
  | { readonly relay: RelayResponse }
  | { readonly end: CallEnd }

/** From the house. */
export type AttachResponse =
  | { readonly status: { readonly fresh: boolean } }
  | { readonly watch: { readonly intervalMs: number } }
  | { readonly command: ModelCommandRequest }
  | { readonly cancel: { readonly id: string } }
  | { readonly relay: RelayRequest }

export interface CallEnd {
  /** 0 is OK. */
  readonly code: number
  readonly message: string
  readonly quipuCode: string
  readonly retryable: boolean
}
