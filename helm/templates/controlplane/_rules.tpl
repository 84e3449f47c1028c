{{/* What the control plane does in each watched namespace, and no more: tests compare it with the API server's audit. */}}
{{- define "headgate.controlplane.rules" -}}
- apiGroups: [headgate.dev]
  resources: [modelpools, tenants, routingpolicies]
  verbs: [list, watch]
- apiGroups: [headgate.dev]
  resources: [modelpools/status, tenants/status, routingpolicies/status]
  verbs: [patch]
{{- if .Values.controlplane.rbac.ownerReferenceFinalizers }}
- apiGroups: [headgate.dev]
  resources: [modelpools/finalizers]
  verbs: [update]
{{- end }}
# What a ModelPool is made into. `get` before the first write: whose is an object that has the name already?
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [ray.io]
  resources: [rayservices]
  verbs: [get, list, watch, create, patch]
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets]
  {{- with .Values.controlplane.rbac.secretNames }}
  resourceNames: {{- toYaml . | nindent 4 }}
  {{- end }}
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
