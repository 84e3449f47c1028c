"""One example of each kind, as docs/resources.md shows it."""

EXAMPLES = {
    "ModelPool": """\
apiVersion: headgate.dev/v1alpha1
kind: ModelPool
metadata:
  name: qwen-large
spec:
  model:
    name: Qwen/Qwen3-32B
    aliases: [qwen]
  tier: large
  engine:
    args: {max_model_len: 32768, gpu_memory_utilization: 0.92}
    env:
    - name: HF_TOKEN
      secret: {name: hub, key: token}
  speculation: {method: suffix, numSpeculativeTokens: 8}
  parallelism: {tensor: 2}
  hardware:
    gpus: 2
    cpu: "8"
    memory: 64Gi
    sharedMemory: 16Gi
    nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
    tolerations:
    - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
  cache: {claimSize: 200Gi}
  prices: {inputUsdPerMtok: 0.4, cachedInputUsdPerMtok: 0.1, outputUsdPerMtok: 1.2}
  hosting: {powerWatts: 1600, pue: 1.2, carbonGPerKwh: 390}
  objectives: {ttftMs: 800, tpotMs: 40}
  autoscaling: {minReplicas: 1, maxReplicas: 8}
""",
    "Tenant": """\
apiVersion: headgate.dev/v1alpha1
kind: Tenant
metadata:
  name: search
spec:
  keys:
  - secret: {name: search-api-key, key: key}
  pools: [qwen-large, smol]
  weight: 2
  budget: {usd: 500, window: day, hard: true}
  policy: careful
""",
    "RoutingPolicy": """\
apiVersion: headgate.dev/v1alpha1
kind: RoutingPolicy
metadata:
  name: careful
spec:
  strategy: qualityFloor
  qualityFloor: 0.8
  cascade: {pools: [smol, qwen-large], minConfidence: 0.6}
  canaries:
  - {pool: qwen-next, percent: 5}
""",
}
