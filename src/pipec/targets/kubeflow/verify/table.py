"""The messages of KFP's protobufs and their fields, as the JSON form spells them.

Kept as a text so that neither protobuf nor kfp is needed to verify; a test holds it equal to kfp's own descriptors.
Must not know what a field means.
"""

from __future__ import annotations

from pipec.record import frozen

# A line is `message: field type [@oneof]; ...`. `[t]` is a list, `{t}` a mapping of names, `A|B` one of those words.
# `struct` and `any` hold any data. The executors of a platform are a struct to the protobuf; their real type is here.
_PIPELINE = """
pipeline: pipelineInfo pipeline-info; deploymentSpec deployment; sdkVersion text; schemaVersion text; components
    {component}; root component; defaultPipelineRoot text
pipeline-info: name text; displayName text; description text
component: inputDefinitions inputs; outputDefinitions outputs; dag dag @implementation; executorLabel text
    @implementation; singlePlatformSpecs [platform]; taskConfigPassthroughs [task-config-passthrough]
inputs: artifacts {input-artifact}; parameters {input-parameter}
input-artifact: artifactType artifact-type; isArtifactList bool; isOptional bool; description text
artifact-type: schemaTitle text @kind; schemaUri text @kind; instanceSchema text @kind; schemaVersion text
input-parameter: type PRIMITIVE_TYPE_UNSPECIFIED|INT|DOUBLE|STRING; parameterType
    PARAMETER_TYPE_ENUM_UNSPECIFIED|NUMBER_DOUBLE|NUMBER_INTEGER|STRING|BOOLEAN|LIST|STRUCT|TASK_FINAL_STATUS|TASK_CONFIG;
    defaultValue any; isOptional bool; description text; literals [any]
outputs: artifacts {output-artifact}; parameters {output-parameter}
output-artifact: artifactType artifact-type; properties {value-or-parameter}; customProperties {value-or-parameter};
    metadata struct; isArtifactList bool; description text
value-or-parameter: constantValue old-value @value; runtimeParameter text @value; constant any @value
old-value: intValue int64 @value; doubleValue double @value; stringValue text @value
output-parameter: type PRIMITIVE_TYPE_UNSPECIFIED|INT|DOUBLE|STRING; parameterType
    PARAMETER_TYPE_ENUM_UNSPECIFIED|NUMBER_DOUBLE|NUMBER_INTEGER|STRING|BOOLEAN|LIST|STRUCT|TASK_FINAL_STATUS|TASK_CONFIG;
    description text
dag: tasks {task}; outputs dag-outputs
task: taskInfo task-info; inputs task-inputs; dependentTasks [text]; cachingOptions caching-option; componentRef
    component-reference; triggerPolicy trigger-policy; artifactIterator artifact-iterator @iterator;
    parameterIterator parameter-iterator @iterator; retryPolicy retry-policy; iteratorPolicy iterator-policy
task-info: name text
task-inputs: parameters {parameter-source}; artifacts {artifact-source}
parameter-source: taskOutputParameter task-output-parameter @kind; runtimeValue value-or-parameter @kind;
    componentInputParameter text @kind; taskFinalStatus task-final-status @kind; parameterExpressionSelector text
task-output-parameter: producerTask text; outputParameterKey text
task-final-status: producerTask text
artifact-source: taskOutputArtifact task-output-artifact @kind; componentInputArtifact text @kind
task-output-artifact: producerTask text; outputArtifactKey text
caching-option: enableCache bool; cacheKey text
component-reference: name text
trigger-policy: condition text; strategy
    TRIGGER_STRATEGY_UNSPECIFIED|ALL_UPSTREAM_TASKS_SUCCEEDED|ALL_UPSTREAM_TASKS_COMPLETED
artifact-iterator: items artifact-items; itemInput text
artifact-items: inputArtifact text
parameter-iterator: items parameter-items; itemInput text
parameter-items: raw text @kind; inputParameter text @kind
retry-policy: maxRetryCount int32; backoffDuration duration; backoffFactor double; backoffMaxDuration duration
iterator-policy: parallelismLimit int32
dag-outputs: artifacts {dag-output-artifact}; parameters {dag-output-parameter}
dag-output-artifact: artifactSelectors [artifact-selector]
artifact-selector: producerSubtask text; outputArtifactKey text
dag-output-parameter: valueFromParameter parameter-selector @kind; valueFromOneof parameter-selectors @kind
parameter-selector: producerSubtask text; outputParameterKey text
parameter-selectors: parameterSelectors [parameter-selector]
platform: deploymentSpec platform-deployment; platform text; config struct; pipelineConfig pipeline-config
platform-deployment: executors {kubernetes-executor}
pipeline-config: resourceTtlOnCompletion int32; workspace workspace; resourceTtlOnSuccess int32;
    resourceTtlOnFailure int32; activeDeadlineSeconds int32
workspace: size text; kubernetes kubernetes-workspace
kubernetes-workspace: pvcSpecPatch struct
task-config-passthrough: field
    NONE|RESOURCES|ENV|KUBERNETES_AFFINITY|KUBERNETES_TOLERATIONS|KUBERNETES_NODE_SELECTOR|KUBERNETES_VOLUMES;
    applyToTask bool
deployment: executors {executor}
executor: container container @spec; importer importer @spec; resolver resolver @spec; customJob custom-job @spec
container: image text; command [text]; args [text]; lifecycle lifecycle; resources resource; env [variable]
lifecycle: preCacheCheck cache-check
cache-check: command [text]; args [text]
resource: cpuLimit double; memoryLimit double; cpuRequest double; memoryRequest double; resourceCpuLimit text;
    resourceMemoryLimit text; resourceCpuRequest text; resourceMemoryRequest text; accelerator accelerator
accelerator: type text; count int64; resourceType text; resourceCount text
variable: name text; value text
importer: artifactUri value-or-parameter; typeSchema artifact-type; properties {value-or-parameter};
    customProperties {value-or-parameter}; reimport bool; metadata struct; downloadToWorkspace bool
resolver: outputArtifactQueries {artifact-query}
artifact-query: filter text; limit int32
custom-job: customJob struct
"""

# kfp-kubernetes 2.17.0. The backend reads executors strictly: a field of a later version is an error to an older one.
_PLATFORM = """
platform-document: platforms {platform}
kubernetes-executor: secretAsVolume [secret-as-volume]; secretAsEnv [secret-as-env]; pvcMount [pvc-mount];
    nodeSelector node-selector; podMetadata pod-metadata; imagePullSecret [image-pull-secret]; imagePullPolicy text;
    configMapAsVolume [config-map-as-volume]; configMapAsEnv [config-map-as-env]; activeDeadlineSeconds int64;
    fieldPathAsEnv [field-path-as-env]; tolerations [toleration]; genericEphemeralVolume [generic-ephemeral-volume];
    nodeAffinity [node-affinity-term]; podAffinity [pod-affinity-term]; enabledSharedMemory enabled-shared-memory;
    emptyDirMounts [empty-dir-mount]; securityContext security-context
secret-as-volume: secretName text; mountPath text; optional bool; secretNameParameter parameter-source
secret-as-env: secretName text; keyToEnv [secret-key-to-env-map]; optional bool; secretNameParameter
    parameter-source
secret-key-to-env-map: secretKey text; envVar text
pvc-mount: taskOutputParameter task-output-parameter @pvc_reference; constant text @pvc_reference;
    componentInputParameter text @pvc_reference; mountPath text; pvcNameParameter parameter-source; subPath text
node-selector: labels {text}; nodeSelectorJson parameter-source
pod-metadata: labels {text}; annotations {text}
image-pull-secret: secretName text; secretNameParameter parameter-source
config-map-as-volume: configMapName text; mountPath text; optional bool; configMapNameParameter parameter-source
config-map-as-env: configMapName text; keyToEnv [config-map-key-to-env-map]; configMapNameParameter
    parameter-source; optional bool
config-map-key-to-env-map: configMapKey text; envVar text
field-path-as-env: name text; fieldPath text
toleration: key text; operator text; value text; effect text; tolerationSeconds int64; tolerationJson
    parameter-source
generic-ephemeral-volume: volumeName text; mountPath text; accessModes [text]; size text; defaultStorageClass bool;
    storageClassName text; metadata pod-metadata
node-affinity-term: matchExpressions [selector-requirement]; matchFields [selector-requirement]; weight int32;
    nodeAffinityJson parameter-source
selector-requirement: key text; operator text; values [text]
pod-affinity-term: matchPodExpressions [selector-requirement]; matchPodLabels {text}; topologyKey text; namespaces
    [text]; matchNamespaceExpressions [selector-requirement]; matchNamespaceLabels {text}; weight int32; anti bool
enabled-shared-memory: volumeName text; size text
empty-dir-mount: volumeName text; mountPath text; medium text; sizeLimit text
security-context: runAsUser int64; runAsGroup int64; runAsNonRoot bool
"""


@frozen
class Type:
    """What may stand somewhere. form: `message`, `list`, `map`, `enum`, or a scalar's name. of: below a list or map."""

    form: str
    name: str = ""
    of: Type | None = None
    words: tuple[str, ...] = ()


@frozen
class Field:
    """One field of a message. oneof: the group of which only one may be set, or empty."""

    type: Type
    oneof: str


SCALARS = frozenset({"text", "bool", "double", "int32", "int64", "duration", "any", "struct"})


def _type(text: str) -> Type:
    if text[0] in "[{":
        return Type("list" if text[0] == "[" else "map", of=_type(text[1:-1]))
    if text in SCALARS:
        return Type(text)
    if text.isupper():
        return Type("enum", words=tuple(text.split("|")))
    return Type("message", text)


def _field(text: str) -> tuple[str, Field]:
    name, type_, *oneof = text.split()
    return name, Field(_type(type_), oneof[0][1:] if oneof else "")


def _messages(text: str) -> dict[str, dict[str, Field]]:
    found: dict[str, dict[str, Field]] = {}
    for line in text.strip().replace("\n    ", " ").splitlines():
        name, _, fields = line.partition(": ")
        found[name] = dict(_field(field) for field in fields.split("; "))
    return found


MESSAGES = _messages(_PIPELINE + _PLATFORM.lstrip())
