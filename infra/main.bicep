// Everything the service needs, in its own resource group. docs/deployment.md says what is made and why.
targetScope = 'subscription'

@description('Name of the environment: its resource group is rg- and this.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Azure region of everything: one that has the Flex Consumption plan.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Audiences of the tokens that are accepted, separated by commas: the client ID of the app registration.')
@minLength(1)
param audience string

@description('Authority whose tokens are accepted, such as https://sign-in.example.org. Empty: Entra, of your tenant.')
param authority string = ''

@description('Scheme and host that clients use, such as https://dicom.example.org. Empty: what the request names.')
param publicBaseUrl string = ''

@description('Origins whose pages may use the service, separated by commas.')
param corsOrigins string = ''

@description('Make a site for the viewer, and let its pages use the service.')
param viewer bool = false

@description('Azure region that has the site of the viewer; it holds no data.')
@allowed([
  'centralus'
  'eastasia'
  'eastus2'
  'westeurope'
  'westus2'
])
param viewerLocation string = 'westeurope'

@description('Memory of an instance of the app.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Requests that an instance works on at the same time, before Azure starts another.')
@minValue(1)
@maxValue(1000)
param requestsPerInstance int = 16

@description('Instances that Azure starts at most.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Instances that are kept running, which costs money when nobody uses them.')
@minValue(0)
@maxValue(1000)
param alwaysReadyInstances int = 0

@description('Days for which an operation that has ended is kept, with its results.')
@minValue(1)
@maxValue(36500)
param operationRetentionDays int = 7

@description('Hosts that subscriptions may send events to, separated by commas, such as events.example.org, and networks such as 10.1.0.0/16. Empty: no subscriptions.')
param subscriptionHosts string = ''

@description('More application settings, by name, such as the limits of docs/configuration.md.')
param moreSettings { *: string } = {}

@description('Tags of every resource, by name.')
param tags { *: string } = {}

@description('A resource group that exists, for everything. Empty: one is made.')
param existingResourceGroup string = ''

@description('How many copies of the archive are kept, and where.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param archiveRedundancy string = 'Standard_LRS'

@description('Days in which a deleted blob or container can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 14

@description('Keep what is overwritten or deleted as a version, for as many days as soft delete has.')
param keepVersions bool = false

@description('Days after which a file moves to the cool tier. 0: never.')
@minValue(0)
@maxValue(36500)
param coolAfterDays int = 0

@description('Days after which a file moves to the cold tier. 0: never.')
@minValue(0)
@maxValue(36500)
param coldAfterDays int = 0

@description('Resource ID of a storage account in another resource group, to which the archive is backed up each night. Empty: no backup.')
param backupAccountId string = ''

@description('Days for which the backup keeps what the archive no longer has.')
@minValue(1)
@maxValue(36500)
param backupRetentionDays int = 30

@description('Days in which what is overwritten or deleted cannot be removed for good, by anyone. 0: none. Needs keepVersions; only when the archive is made.')
@minValue(0)
@maxValue(146000)
param immutabilityDays int = 0

@description('Encrypt the archive twice, the second time with keys of the infrastructure. Only when the archive is made.')
param infrastructureEncryption bool = false

@description('URL of a key in a key vault, which encrypts the archive. Empty: keys of Microsoft. Only when the archive is made.')
param encryptionKeyUrl string = ''

@description('Resource ID of the managed identity that may use that key.')
param encryptionKeyIdentityId string = ''

@description('Lock the account of the archive, so that nobody deletes it before the lock is removed.')
param deleteLock bool = false

@description('Spread the app and its package over the zones of the region. The archive needs a redundancy with zones, too.')
param zoneRedundant bool = false

@description('Close the storage accounts to the Internet, and reach them through a virtual network.')
param privateNetwork bool = false

@description('Addresses of the virtual network, from /16 to /24.')
param addressPrefix string = '10.0.0.0/23'

@description('Let the app send to any host by HTTPS, as the build of a deployment does.')
param outboundInternet bool = true

@description('Resource ID of a subnet that exists, for the app: empty, and delegated to Microsoft.App/environments.')
param existingAppSubnetId string = ''

@description('Resource ID of a subnet that exists, in the same network, for private endpoints.')
param existingEndpointSubnetId string = ''

@description('Resource ID of the resource group that has the private DNS zones. Empty: they are made.')
param existingDnsZonesGroupId string = ''

@description('Make a private endpoint for the app itself.')
param inboundPrivateEndpoint bool = false

@description('Whether the app answers the Internet. Disabled also closes deployment, except from the network.')
@allowed([
  'Enabled'
  'Disabled'
])
param publicNetworkAccess string = 'Enabled'

@description('Where the app may be used from, separated by commas: addresses such as 203.0.113.0/24, service tags such as AzureFrontDoor.Backend. Empty: anywhere.')
param allowedAddresses string = ''

@description('Where alerts are sent. Empty: no alerts.')
param alertEmail string = ''

@description('Seconds that the slowest twentieth of the requests may take before there is an alert.')
@minValue(1)
@maxValue(1800)
param alertLatencySeconds int = 30

@description('GiB that the archive may hold before there is an alert. 0: no alert.')
@minValue(0)
param alertCapacityGiB int = 0

@description('GiB that may be read from the archive in a day before there is an alert. 0: no alert.')
@minValue(0)
param alertEgressGiB int = 0

@description('Ask for /health from three places every 15 minutes, and alert when two get no good answer. Needs alertEmail.')
param availabilityTest bool = false

@description('What the storage accounts and the app log beside telemetry: changes are the writes and deletes of files; all adds reads, tables and the host.')
@allowed([
  'changes'
  'all'
])
param diagnosticLogs string = 'changes'

@description('A Log Analytics workspace that exists, by its resource ID. Empty: one is made.')
param existingWorkspaceId string = ''

@description('Days for which logs and telemetry are kept, in the workspace that is made.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

// What no deployment can be, each said in a sentence; an empty text where it is not.
var contradictions = filter(
  [
    alwaysReadyInstances > maximumInstances ? 'alwaysReadyInstances is above maximumInstances.' : ''
    zoneRedundant && alwaysReadyInstances == 1 ? 'zoneRedundant needs alwaysReadyInstances of 0, or of 2 and more.' : ''
    zoneRedundant && !endsWith(archiveRedundancy, 'ZRS')
      ? 'zoneRedundant needs an archiveRedundancy of Standard_ZRS or Standard_GZRS.'
      : ''
    coolAfterDays > 0 && coldAfterDays > 0 && coldAfterDays <= coolAfterDays
      ? 'coldAfterDays must be above coolAfterDays.'
      : ''
    immutabilityDays > 0 && !keepVersions ? 'immutabilityDays needs keepVersions.' : ''
    empty(encryptionKeyUrl) != empty(encryptionKeyIdentityId)
      ? 'encryptionKeyUrl and encryptionKeyIdentityId need each other.'
      : ''
    !empty(encryptionKeyUrl) && (!startsWith(encryptionKeyUrl, 'https://') || !contains(encryptionKeyUrl, '/keys/'))
      ? 'encryptionKeyUrl must be such as https://VAULT/keys/KEY.'
      : ''
    empty(existingAppSubnetId) != empty(existingEndpointSubnetId)
      ? 'existingAppSubnetId and existingEndpointSubnetId need each other.'
      : ''
    !privateNetwork && !(empty(existingAppSubnetId) && empty(existingDnsZonesGroupId))
      ? 'existingAppSubnetId and existingDnsZonesGroupId need privateNetwork.'
      : ''
    inboundPrivateEndpoint && !privateNetwork ? 'inboundPrivateEndpoint needs privateNetwork.' : ''
    publicNetworkAccess == 'Disabled' && !inboundPrivateEndpoint
      ? 'A publicNetworkAccess of Disabled needs inboundPrivateEndpoint: nobody could reach the app.'
      : ''
    availabilityTest && empty(alertEmail) ? 'availabilityTest needs alertEmail.' : ''
    availabilityTest && publicNetworkAccess == 'Disabled'
      ? 'availabilityTest asks from the Internet: it cannot be with a publicNetworkAccess of Disabled.'
      : ''
    !empty(backupAccountId) && length(split(backupAccountId, '/')) != 9
      ? 'backupAccountId must be such as /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Storage/storageAccounts/NAME.'
      : ''
    parseCidr(addressPrefix).cidr < 16 || parseCidr(addressPrefix).cidr > 24
      ? 'addressPrefix must be from /16 to /24.'
      : ''
    empty(withoutPrefix)
      ? ''
      : 'allowedAddresses has ${join(withoutPrefix, ', ')}: the length of the prefix is missing, such as /32 for one address.'
    !empty(allowedAddresses) && empty(sources) ? 'allowedAddresses names none.' : ''
    !empty(publicBaseUrl) && (!startsWith(publicBaseUrl, 'https://') || endsWith(publicBaseUrl, '/'))
      ? 'publicBaseUrl must be such as https://dicom.example.org, without a slash at its end.'
      : ''
    empty(unknownSettings)
      ? ''
      : 'moreSettings has ${join(unknownSettings, ', ')}, which the template or the host decides.'
  ],
  text => !empty(text)
)

// What would open the service, or move its storage or its host's.
var unknownSettings = filter(
  map(items(moreSettings), setting => setting.key),
  name =>
    startsWith(toLower(name), 'archivequeues') || startsWith(toLower(name), 'azurewebjobsstorage') || contains(
      [
        'anonymous_access'
        'backup_connection_string'
        'create_storage'
        'functions_extension_version'
        'functions_worker_runtime'
        'storage_connection_string'
      ],
      toLower(name)
    )
)

var sources = filter(map(split(allowedAddresses, ','), one => trim(one)), one => !empty(one))

// Addresses begin with a digit or have a colon; service tags, such as AzureFrontDoor.Backend, do not.
var withoutPrefix = filter(
  sources,
  one => !contains(one, '/') && (contains(one, ':') || contains('0123456789', substring(one, 0, 1)))
)

// The same for each way to write the environment and the region: another name would be another, empty archive.
var suffix = empty(contradictions)
  ? uniqueString(subscription().id, toLower(environmentName), toLower(replace(location, ' ', '')))
  : fail(join(contradictions, ' '))

var names = {
  resources: 'dicom-${suffix}' // the app, its plan, identity, telemetry and network
  viewer: 'dicom-viewer-${suffix}'
  hostAccount: 'host${suffix}'
  archiveAccount: 'archive${suffix}'
  backupContainer: 'dicom-backup-${suffix}' // its account may have the backups of several archives
  group: empty(existingResourceGroup) ? 'rg-${environmentName}' : existingResourceGroup
}

var allTags = union(tags, {
  'azd-env-name': environmentName
})

// Resource IDs that are known before there is what they name.
func idOf(group string, type string, name string) string => resourceId(subscription().subscriptionId, group, type, name)

var workspaceId = empty(existingWorkspaceId)
  ? idOf(names.group, 'Microsoft.OperationalInsights/workspaces', names.resources)
  : existingWorkspaceId

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = if (empty(existingResourceGroup)) {
  name: names.group
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: resourceGroup(names.group)
  params: {
    name: names.resources
    location: location
    tags: allTags
  }
  dependsOn: [
    group
  ]
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: resourceGroup(names.group)
  params: {
    name: names.resources
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    existingWorkspaceId: existingWorkspaceId
  }
  dependsOn: [
    group
  ]
}

module hostStorage 'modules/storage-account.bicep' = {
  name: 'host-storage'
  scope: resourceGroup(names.group)
  params: {
    name: names.hostAccount
    location: location
    tags: allTags
    redundancy: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
    containers: [
      'app-package'
    ]
    tables: []
    queues: []
    softDeleteDays: 7
    keepVersions: false
    privateNetwork: privateNetwork
  }
  dependsOn: [
    group
  ]
}

module archiveStorage 'modules/storage-account.bicep' = {
  name: 'archive-storage'
  scope: resourceGroup(names.group)
  params: {
    name: names.archiveAccount
    location: location
    tags: allTags
    redundancy: archiveRedundancy
    containers: [
      'dicom'
    ]
    tables: [
      'catalog'
      'terms'
      'journal'
      'feed'
      'operations'
      'tags'
      'subscriptions'
    ]
    queues: [
      'deliveries'
      'deliveries-poison'
      'operations'
      'operations-poison'
    ]
    softDeleteDays: softDeleteDays
    keepVersions: keepVersions
    privateNetwork: privateNetwork
    immutabilityDays: immutabilityDays
    infrastructureEncryption: infrastructureEncryption
    encryptionKeyUrl: encryptionKeyUrl
    encryptionKeyIdentityId: encryptionKeyIdentityId
    deleteLock: deleteLock
  }
  dependsOn: [
    group
  ]
}

module lifecycle 'modules/blob-lifecycle.bicep' = {
  name: 'blob-lifecycle'
  scope: resourceGroup(names.group)
  params: {
    accountName: names.archiveAccount
    container: 'dicom'
    coolAfterDays: coolAfterDays
    coldAfterDays: coldAfterDays
    versionDays: softDeleteDays
  }
  dependsOn: [
    archiveStorage
  ]
}

module access 'modules/access.bicep' = {
  name: 'access'
  scope: resourceGroup(names.group)
  params: {
    identityName: names.resources
    hostAccountName: names.hostAccount
    archiveAccountName: names.archiveAccount
    componentName: names.resources
  }
  dependsOn: [
    identity
    hostStorage
    archiveStorage
    monitoring
  ]
}

module privateParts 'modules/private-network.bicep' = if (privateNetwork) {
  name: 'private-network'
  scope: resourceGroup(names.group)
  params: {
    name: names.resources
    location: location
    tags: allTags
    hostAccountName: names.hostAccount
    archiveAccountName: names.archiveAccount
    addressPrefix: addressPrefix
    internetIsNeeded: outboundInternet || !empty(authority)
    existingAppSubnetId: existingAppSubnetId
    existingEndpointSubnetId: existingEndpointSubnetId
    existingDnsZonesGroupId: existingDnsZonesGroupId
    inboundPrivateEndpoint: inboundPrivateEndpoint
  }
  dependsOn: [
    hostStorage
    archiveStorage
  ]
}

// '', subscriptions, ID, resourceGroups, GROUP … Azure looks at the scope of a module that is not deployed, too.
var backupAccount = split(
  empty(backupAccountId) ? idOf(names.group, 'Microsoft.Storage/storageAccounts', 'none') : backupAccountId,
  '/'
)

module backup 'modules/backup-container.bicep' = if (!empty(backupAccountId)) {
  name: 'backup-container'
  scope: resourceGroup(backupAccount[2], backupAccount[4])
  params: {
    accountName: backupAccount[8]
    container: names.backupContainer
    #disable-next-line what-if-short-circuiting // an assignment that outlives its identity has to have another name
    principalId: identity.outputs.principalId
  }
}

module viewerSite 'modules/viewer.bicep' = if (viewer) {
  name: 'viewer'
  scope: resourceGroup(names.group)
  params: {
    name: names.viewer
    location: viewerLocation
    tags: allTags
  }
  dependsOn: [
    group
  ]
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: resourceGroup(names.group)
  params: {
    name: names.resources
    location: location
    tags: allTags
    identityName: names.resources
    hostAccountName: names.hostAccount
    packageContainer: 'app-package'
    archiveAccountName: names.archiveAccount
    componentName: names.resources
    subnetId: privateNetwork ? privateParts!.outputs.appSubnetId : ''
    publicNetworkAccess: publicNetworkAccess
    allowedSources: empty(sources) ? [] : concat(sources, availabilityTest ? ['ApplicationInsightsAvailability'] : [])
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    requestsPerInstance: requestsPerInstance
    maximumInstances: maximumInstances
    alwaysReadyInstances: alwaysReadyInstances
    authority: empty(authority) ? '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0' : authority
    audience: audience
    publicBaseUrl: publicBaseUrl
    corsOrigins: viewer ? '${corsOrigins},${viewerSite!.outputs.origin}' : corsOrigins
    viewerUrl: viewer ? viewerSite!.outputs.origin : ''
    backupBlobEndpoint: empty(backupAccountId) ? '' : backup!.outputs.blobEndpoint
    backupContainer: names.backupContainer
    backupRetentionDays: backupRetentionDays
    operationRetentionDays: operationRetentionDays
    subscriptionHosts: subscriptionHosts
    moreSettings: moreSettings
  }
  dependsOn: [
    access
  ]
}

module inboundEndpoint 'modules/private-endpoints.bicep' = if (inboundPrivateEndpoint) {
  name: 'inbound-endpoint'
  scope: resourceGroup(names.group)
  params: {
    name: names.resources
    targetId: idOf(names.group, 'Microsoft.Web/sites', names.resources)
    services: [
      'sites'
    ]
    subnetId: privateParts!.outputs.endpointSubnetId
    existingDnsZonesGroupId: existingDnsZonesGroupId
    location: location
    tags: allTags
  }
  dependsOn: [
    functionApp
  ]
}

module diagnostics 'modules/diagnostics.bicep' = {
  name: 'diagnostics'
  scope: resourceGroup(names.group)
  params: {
    workspaceId: workspaceId
    accountNames: [
      names.hostAccount
      names.archiveAccount
    ]
    appName: names.resources
    everything: diagnosticLogs == 'all'
  }
  dependsOn: [
    functionApp
  ]
}

module alerts 'modules/alerts.bicep' = if (!empty(alertEmail)) {
  name: 'alerts'
  scope: resourceGroup(names.group)
  params: {
    environmentName: environmentName
    workspaceId: workspaceId
    componentName: names.resources
    archiveAccountName: names.archiveAccount
    email: alertEmail
    latencySeconds: alertLatencySeconds
    maxRequestSeconds: int(moreSettings.?MAX_REQUEST_SECONDS ?? '1800')
    capacityGiB: alertCapacityGiB
    egressGiB: alertEgressGiB
    location: location
    tags: allTags
  }
  dependsOn: [
    monitoring
    archiveStorage
  ]
}

module availability 'modules/availability.bicep' = if (availabilityTest) {
  name: 'availability'
  scope: resourceGroup(names.group)
  params: {
    environmentName: environmentName
    componentName: names.resources
    receiversId: alerts!.outputs.receiversId
    healthUrl: '${empty(publicBaseUrl) ? functionApp.outputs.url : publicBaseUrl}/health'
    location: location
    tags: allTags
  }
  dependsOn: [
    monitoring
  ]
}

// So that azd on another machine, after `azd env refresh`, does not register the service again.
output AUDIENCE string = audience
output AZURE_RESOURCE_GROUP string = names.group
output SERVICE_API_NAME string = names.resources
output SERVICE_URL string = empty(publicBaseUrl) ? functionApp.outputs.url : publicBaseUrl
output ARCHIVE_ACCOUNT_NAME string = names.archiveAccount
output HOST_ACCOUNT_NAME string = names.hostAccount
output BACKUP_BLOB_ENDPOINT string = empty(backupAccountId) ? '' : backup!.outputs.blobEndpoint
output BACKUP_CONTAINER string = empty(backupAccountId) ? '' : names.backupContainer
output VIEWER_NAME string = viewer ? names.viewer : ''
output VIEWER_URL string = viewer ? viewerSite!.outputs.origin : ''
