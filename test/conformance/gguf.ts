/**
 * The smallest model file that Ollama takes: GGUF 3, llama architecture, one block, a vocabulary of bytes and a few
 * words, weights of zero. It loads; it has nothing to say.
 */

const EMBEDDING = 32
const FORWARD = 64
const WORDS = ['alpha', 'bravo', 'charlie', 'delta', 'echo', 'foxtrot']
const BYTES = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`)
const VOCABULARY = ['<unk>', '<s>', '</s>', ...BYTES, ...WORDS.map(word => `\u2581${word}`), '\u2581']
/** Kinds of token: 1 normal, 2 unknown, 3 control, 6 byte. */
const KINDS = VOCABULARY.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1))

export function tinyGguf(): Buffer {
  const metadata = [
    field('general.architecture', text('llama')),
    field('general.name', text('conformance')),
    field('general.file_type', uint32(0)),
    field('llama.context_length', uint32(512)),
    field('llama.embedding_length', uint32(EMBEDDING)),
    field('llama.block_count', uint32(1)),
    field('llama.feed_forward_length', uint32(FORWARD)),
    field('llama.attention.head_count', uint32(2)),
    field('llama.attention.head_count_kv', uint32(2)),
    field('llama.attention.layer_norm_rms_epsilon', float32(1e-5)),
    field('llama.rope.dimension_count', uint32(16)),
    field('llama.vocab_size', uint32(VOCABULARY.length)),
    field('tokenizer.ggml.model', text('llama')),
    field('tokenizer.ggml.tokens', list(VOCABULARY.map(text))),
    field('tokenizer.ggml.scores', list(VOCABULARY.map(() => float32(0)))),
    field('tokenizer.ggml.token_type', list(KINDS.map(int32))),
    field('tokenizer.ggml.bos_token_id', uint32(1)),
    field('tokenizer.ggml.eos_token_id', uint32(2)),
    field('tokenizer.ggml.unknown_token_id', uint32(0)),
  ]
  const tensors: readonly (readonly [string, ...number[]])[] = [
    ['token_embd.weight', EMBEDDING, VOCABULARY.length],
    ['blk.0.attn_norm.weight', EMBEDDING],
    ['blk.0.attn_q.weight', EMBEDDING, EMBEDDING],
    ['blk.0.attn_k.weight', EMBEDDING, EMBEDDING],
    ['blk.0.attn_v.weight', EMBEDDING, EMBEDDING],
    ['blk.0.attn_output.weight', EMBEDDING, EMBEDDING],
    ['blk.0.ffn_norm.weight', EMBEDDING],
    ['blk.0.ffn_gate.weight', EMBEDDING, FORWARD],
    ['blk.0.ffn_up.weight', EMBEDDING, FORWARD],
    ['blk.0.ffn_down.weight', FORWARD, EMBEDDING],
    ['output_norm.weight', EMBEDDING],
    ['output.weight', EMBEDDING, VOCABULARY.length],
  ]
  let offset = 0
  const directory = tensors.map(([name, ...sides]) => {
    // Type 0 is F32. Every size here is a multiple of the alignment, 32.
    const entry = [string(name), u32(sides.length), ...sides.map(u64), u32(0), u64(offset)]
    offset += 4 * sides.reduce((a, b) => a * b)
    return Buffer.concat(entry)
  })
  const head = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length)]
  const start = Buffer.concat([...head, ...metadata, ...directory])
  return Buffer.concat([start, Buffer.alloc(-start.length & 31), Buffer.alloc(offset)])
}

/** A value and GGUF's number for its type. */
interface Value {
  readonly type: number
  readonly bytes: Buffer
}

const text = (value: string): Value => ({ type: 8, bytes: string(value) })
const uint32 = (value: number): Value => ({ type: 4, bytes: u32(value) })
const int32 = (value: number): Value => ({ type: 5, bytes: u32(value) })
const float32 = (value: number): Value => ({ type: 6, bytes: Buffer.from(Float32Array.of(value).buffer) })
const list = (values: readonly Value[]): Value => ({
  type: 9,
  bytes: Buffer.concat([u32(values[0]!.type), u64(values.length), ...values.map(value => value.bytes)]),
})

function field(key: string, { type, bytes }: Value): Buffer {
  return Buffer.concat([string(key), u32(type), bytes])
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
