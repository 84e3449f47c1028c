{{/* The control plane's settings: what users set, and over it what only the chart can know. */}}
{{- define "headgate.controlplane.config" -}}
{{- $platform := dict
    "worker_image" (include "headgate.image" (dict "root" . "image" .Values.worker.image))
    "image_pull_policy" .Values.worker.image.pullPolicy
    "image_pull_secrets" .Values.imagePullSecrets
    "worker_service_account" .Values.worker.serviceAccountName
    "worker_tls_secret" (include "headgate.tlsSecret" (dict "root" . "component" "worker"))
-}}
{{- $own := dict
    "namespaces" (include "headgate.watched" . | fromJsonArray)
    "listen" "0.0.0.0:50052"
    "http" "0.0.0.0:8081"
    "lease" (dict "name" (printf "%s-controlplane" (include "headgate.fullname" .)) "namespace" .Release.Namespace)
    "platform" $platform
-}}
{{- if include "headgate.tlsSecret" (dict "root" . "component" "controlplane") -}}
{{- $_ := set $own "tls" (dict "folder" "/etc/headgate/tls") -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.controlplane.config) $own | toYaml -}}
{{- end }}
